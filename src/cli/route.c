/* `hone route`: which model should answer a prompt, how, and why. */
#include "cli/route.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "weights/paths.h"

/* The file that was named, else route.json beside the settings, which may be missing. */
static hone_status read_rules(route_rules *rules, const char *path) {
    fs_path folder, usual;
    if (path) return route_rules_read(rules, path);
    TRY(paths_folder(&folder, PATHS_CONFIG));
    TRY(fs_path_format(&usual, "%s/route.json", folder.text));
    hone_status status = route_rules_read(rules, usual.text);
    return status == HONE_ERR_NOT_FOUND ? HONE_OK : status;
}

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
    hone_status status = read_rules(&rules, options->rules);
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

static json_t *settings_json(const route_settings *s) {
    json_t *object = json_object();
    if (!isnan(s->temperature)) json_object_set_new(object, "temperature", json_real(s->temperature));
    if (!isnan(s->top_p)) json_object_set_new(object, "top_p", json_real(s->top_p));
    if (s->max_tokens)
        json_object_set_new(object, "max_tokens", json_integer((json_int_t)s->max_tokens));
    return object;
}

static json_t *kind_json(const kind_guess *g) {
    json_t *signs = json_array(), *probabilities = json_object();
    size_t n_right, n;
    estimate accuracy = kind_accuracy(&n_right, &n);
    for (size_t i = 0; i < g->n_signs; i++)
        json_array_append_new(signs, json_pack("{s:s, s:f}", "feature", g->signs[i].feature, "weight",
                                               g->signs[i].weight));
    for (int k = 0; k < N_KINDS; k++)
        json_object_set_new(probabilities, kind_name((prompt_kind)k), json_real(g->probabilities[k]));
    return json_pack("{s:s, s:o, s:o, s:{s:f, s:f, s:f, s:I}}", "kind", kind_name(g->kind),
                     "probabilities", probabilities, "signs", signs, "accuracy", "value",
                     accuracy.value, "low", accuracy.low, "high", accuracy.high, "n", (json_int_t)n);
}

static json_t *rows_json(const route_choice *c) {
    const measured *m = &c->measured;
    json_t *rows = json_array();
    for (size_t i = 0; i < m->n_rows; i++) {
        const measured_row *r = &m->rows[i];
        double decode = m->decode[r->candidate];
        json_array_append_new(
            rows, json_pack("{s:s, s:s?, s:s, s:f, s:f, s:f, s:I, s:o, s:I}", "model",
                            c->listing.entries[r->candidate]->manifest.name.text, "strategy",
                            r->strategy[0] ? r->strategy : NULL, "task", m->task, "value",
                            r->quality.value, "low", r->quality.low, "high", r->quality.high, "n",
                            (json_int_t)r->n, "decode_tokens_per_s",
                            decode > 0 ? json_real(decode) : json_null(), "result",
                            (json_int_t)r->result));
    }
    return rows;
}

static int print_json(const route_choice *c, route_priority priority) {
    json_t *reasons = json_array();
    for (size_t i = 0; i < c->n_reasons; i++)
        json_array_append_new(reasons, cli_json_text(c->reasons[i]));
    return cli_print_json(
        json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:o, s:s, s:s, s:o, s:o}", "model", c->model,
                  "quantisation", c->quantisation, "strategy", c->strategy, "system", c->system,
                  "settings", settings_json(&c->settings), "reasons", reasons, "basis",
                  route_basis_name(c->basis), "priority", route_priority_name(priority), "task",
                  kind_json(&c->guess), "rows", rows_json(c)), false);
}

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
    code = json ? print_json(&c, (route_priority)o.priority) : print_page(&c, explain);
    route_choice_release(&c);
    return code;
}
