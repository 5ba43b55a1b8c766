/* `hone results`: what was measured: list, compare two, delete. */
#include "lab/results.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/results_diff.h"
#include "cli/results_filter.h"
#include "lab/report.h"

typedef struct choice {
    results_choice which;
    bool valid, json, csv;
} choice;

/* --- listing --- */

static int print_table(const results_list *list) {
    static const char *const headers[] = {"#", "kind", "model", "started (UTC)", "result", "valid"};
    cli_table t;
    cli_table_init(&t, "rlllll", headers);
    for (size_t i = 0; i < list->n; i++) {
        const stored_result *r = &list->results[i];
        const result_metric *m = report_headline(r);
        report_text text;
        cli_table_add(&t, "%lld", (long long)r->id);
        cli_table_add(&t, "%s", result_kind_name(r->kind));
        cli_table_add(&t, "%s", report_format_subject(&text, r));
        cli_table_add(&t, "%s", report_format_time(&text, r->started_ms));
        if (m) cli_table_add(&t, "%s %s", m->name, report_format_value(&text, m->value, m->unit));
        else cli_table_add(&t, "%s", "");
        if (r->validity.n == 0) cli_table_add(&t, "%s", "yes");
        else cli_table_add(&t, "no: %s%s", r->validity.reasons[0].words,
                           r->validity.n > 1 ? ", …" : "");
    }
    return cli_table_print(&t);
}

static int print_csv(const results_list *list) {
    buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    hone_status status = report_csv(&out, list->results, list->n);
    if (status == HONE_OK) cli_write(out.data, out.len);
    buf_release(&out);
    return status == HONE_OK ? cli_finish_output() : cli_fail(status);
}

static int print_list(results *r, const choice *c, const cli_usage *usage) {
    results_filter filter = {.wanted = c->valid           ? RESULTS_VALID
                                       : c->which.invalid ? RESULTS_INVALID
                                                          : RESULTS_ALL};
    results_list list;
    int code = results_choice_read(&filter, &c->which, usage);
    if (code != CLI_OK) return code;
    hone_status status = results_find(r, &filter, &list);
    if (status != HONE_OK) return cli_fail(status);
    if (c->json) {
        json_t *root = report_to_json(list.results, list.n);
        code = cli_print_json(root ? json_incref(json_object_get(root, "results")) : NULL, false);
        json_decref(root);
    } else {
        code = c->csv ? print_csv(&list) : print_table(&list);
    }
    results_list_release(&list);
    return code;
}

/* --- deleting --- */

static int delete_all(results *r, const cli_operands *words, const cli_usage *usage) {
    if (words->n < 2) return cli_wrong_use(usage, "which results? hone results delete ID…");
    for (size_t i = 1; i < words->n; i++) {
        int64_t id;
        int code = results_read_id(&id, words->items[i], usage);
        if (code != CLI_OK) return code;
        hone_status status = results_delete(r, id);
        if (status != HONE_OK) return cli_fail(status);
    }
    return CLI_OK;
}

static int run(results *r, const choice *c, const cli_operands *words, const cli_usage *usage) {
    int64_t ids[2];
    if (words->n == 0) return print_list(r, c, usage);
    if (!strcmp(words->items[0], "delete")) return delete_all(r, words, usage);
    if (strcmp(words->items[0], "diff") != 0) {
        return cli_wrong_use(usage, "\"%s\" is neither diff nor delete", words->items[0]);
    }
    if (words->n != 3) return cli_wrong_use(usage, "two results: hone results diff A B");
    for (int i = 0; i < 2; i++) {
        int code = results_read_id(&ids[i], words->items[i + 1], usage);
        if (code != CLI_OK) return code;
    }
    return results_print_diff(r, ids[0], ids[1], c->json);
}

int cmd_results(int argc, char **argv) {
    choice c = {.which = RESULTS_CHOICE_UNSET};
    const cli_option options[] = {
        RESULTS_CHOICE_OPTIONS(c.which),
        CLI_FLAG("valid", 0, &c.valid, "only those that can be relied on"),
        CLI_FLAG("invalid", 0, &c.which.invalid, "only those that cannot, which say why"),
        CLI_FLAG("csv", 0, &c.csv, "one line for each number"),
        CLI_FLAG("json", 0, &c.json, "print JSON"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "results",
        .operands = "[diff A B | delete ID…]",
        .about = "What was measured on this machine, newest last. With diff, what two results have in "
                 "common, side by side: which numbers differ by more than chance, tasks item by item, "
                 "and what speaks against comparing them (another machine, other items). With "
                 "delete, takes results away.",
        .examples = "hone results --model smollm2 --since 7d\n"
                    "hone results diff 3 7\n"
                    "hone results --kind bench --csv > speeds.csv\n",
        .options = options,
        .max_operands = 1000,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    results *r;
    hone_status status = results_open(&r, NULL);
    if (status != HONE_OK) return cli_fail(status);
    code = run(r, &c, &operands, &usage);
    results_close(r);
    return code;
}
