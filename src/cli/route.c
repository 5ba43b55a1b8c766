/* `hone route`: which model should answer a prompt, how, and why. */
#include "cli/route.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"

int route_prompt(route_choice *choice, const char *prompt, size_t n, const route_options *options,
                 const cli_usage *usage) {
    route_request request = {.prompt = prompt, .n = n, .text_only = options->text_only,
                             .priority = (route_priority)options->priority};
    if (options->memory && !cli_parse_bytes(options->memory, &request.memory))
        return cli_wrong_use(usage, "--memory takes a size such as 16G or 900M, not \"%s\"",
                             options->memory);
    route_rules rules = {.n = 0};
    store *s = NULL;
    results *r = NULL;
    hone_status status = options->rules ? route_rules_read(&rules, options->rules)
                                         : route_rules_read_usual(&rules);
    if (status == HONE_OK) status = store_open(&s, NULL);
    if (status == HONE_OK && results_open(&r, NULL) != HONE_OK)
        cli_error("what was measured cannot be read: %s", hone_error_message());
    if (status == HONE_OK) {
        request.store = s;
        request.rules = &rules;
        request.results = r;
        status = route_choose(choice, &request);
        if (status != HONE_OK) route_choice_release(choice);
    }
    results_close(r);
    store_close(s);
    route_rules_release(&rules);
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

/* --- telling --- */

static int print_rows(const route_choice *c) {
    static const char *const headers[] = {"MODEL", "STRATEGY", "TASK", "FIGURE", "95 % INTERVAL",
                                          "ITEMS", "TOKENS/S", "RESULT"};
    const measured *m = &c->measured;
    cli_table t;
    if (m->n_rows == 0) return CLI_OK;
    printf("\n");
    cli_table_init(&t, "lllrlrrr", headers);
    for (size_t i = 0; i < m->n_rows; i++) {
        const measured_row *r = &m->rows[i];
        cli_table_add(&t, "%s", c->listing.entries[r->candidate]->manifest.name.text);
        cli_table_add(&t, "%s", r->strategy[0] ? r->strategy : "-");
        cli_table_add(&t, "%s", m->task);
        cli_table_add(&t, "%.3f", r->quality.value);
        cli_table_add(&t, "%.3f to %.3f", r->quality.low, r->quality.high);
        cli_table_add(&t, "%llu", (unsigned long long)r->n);
        if (m->decode[r->candidate] > 0) cli_table_add(&t, "%.1f", m->decode[r->candidate]);
        else cli_table_add(&t, "-");
        cli_table_add(&t, "%lld", (long long)r->result);
    }
    return cli_table_print(&t);
}

static int print_page(const route_choice *c, bool explain) {
    printf("%s  %s", c->model, c->quantisation);
    if (c->strategy) printf("  --strategy \"%s\"", c->strategy);
    if (!isnan(c->settings.temperature)) printf("  --temperature %g", c->settings.temperature);
    if (!isnan(c->settings.top_p)) printf("  --top-p %g", c->settings.top_p);
    if (c->settings.max_tokens) printf("  --max-tokens %zu", c->settings.max_tokens);
    printf("\n");
    if (!explain) return CLI_OK;
    if (c->system) printf("  told before: %s\n", c->system);
    for (size_t i = 0; i < c->n_reasons; i++) printf("  %s\n", c->reasons[i]);
    size_t n_right, n;
    estimate accuracy = kind_accuracy(&n_right, &n);
    printf("  (the kind is right for %.0f %% of prompts held out from learning: %zu of %zu, 95 %% "
           "interval %.0f to %.0f)\n", 100 * accuracy.value, n_right, n, 100 * accuracy.low,
           100 * accuracy.high);
    return print_rows(c);
}

int cmd_route(int argc, char **argv) {
    route_options o = ROUTE_OPTIONS_UNSET;
    bool explain = false, json = false;
    const cli_option options[] = {
        ROUTE_OPTIONS(o),
        CLI_TEXT("memory", 'm', &o.memory, "SIZE",
                 "bytes that the model may use, as 16G or 900M (default: what is free now)"),
        CLI_FLAG("explain", 0, &explain, "say why, with the measured rows behind it"),
        CLI_FLAG("json", 0, &json, "print one JSON object, reasons and rows included"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "route",
        .operands = "PROMPT",
        .about = "Says which model of the store should answer a prompt, with which strategy and "
                 "settings. The kind of the prompt (reasoning, mathematics, code, multilingual, "
                 "knowledge, creative, structure, image, speech) is told from its words. Rules "
                 "written by hand come first, then what `hone eval` and `hone bench` measured on "
                 "this machine, then the sizes of the files; the reasons say which. What does not "
                 "fit into the memory is passed over. `hone run auto PROMPT` takes the same choice.",
        .examples = "hone route \"What is 17 * 23?\" --priority quality --explain\n"
                    "hone route \"Translate this into French: good night\" --rules rules.json --json\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    route_choice c;
    code = route_prompt(&c, operands.items[0], strlen(operands.items[0]), &o, &usage);
    if (code != CLI_OK) return code;
    code = json ? cli_print_json(route_choice_to_json(&c, (route_priority)o.priority), false) : print_page(&c, explain);
    route_choice_release(&c);
    return code;
}
