/* `hone report`: results as something to read and pass on, and the same measured again. */
#include "lab/report.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/record.h"
#include "cli/report_repeat.h"
#include "cli/results_filter.h"

typedef struct choice {
    results_choice which;
    const char *html;
    int64_t repeat;
    bool markdown, csv, json;
} choice;

/* --- a page for the terminal --- */

static int print_metrics(const stored_result *r) {
    static const char *const headers[] = {"metric", "condition", "value", "95 %", "n"};
    cli_table t;
    cli_table_init(&t, "llrrr", headers);
    for (size_t i = 0; i < r->n_metrics; i++) {
        const result_metric *m = &r->metrics[i];
        report_text text;
        cli_table_add(&t, "%s", m->name);
        cli_table_add(&t, "%s", m->condition);
        cli_table_add(&t, "%s", report_format_value(&text, m->value, m->unit));
        cli_table_add(&t, "%s", report_format_interval(&text, m));
        cli_table_add(&t, "%llu", (unsigned long long)m->n);
    }
    return cli_table_print(&t);
}

static int print_conditions(const stored_result *r) {
    const machine_description *m = &r->machine;
    cli_table t;
    cli_text bytes;
    buf command;
    buf_init(&command, REPORT_MAX_BYTES);
    cli_table_init(&t, "ll", NULL);
    cli_table_add(&t, "machine");
    cli_table_add(&t, "%s, %s, %d cores, %s, %s (%s)", m->cpu, m->features, m->n_cores,
                  cli_format_bytes(&bytes, m->memory_bytes), m->kernel, m->fingerprint);
    cli_table_add(&t, "build");
    cli_table_add(&t, "%s", r->build);
    for (size_t i = 0; i < r->n_subjects; i++) {
        const result_subject *s = &r->subjects[i];
        cli_table_add(&t, "%s", s->role);
        cli_table_add(&t, "%s, %s, SHA-256 %s", s->name, s->file, *s->hash ? s->hash : "unknown");
    }
    hone_status status = report_add_command(&command, r);
    cli_table_add(&t, "command");
    cli_table_add(&t, "%s", command.data ? command.data : "unknown");
    buf_release(&command);
    int code = cli_table_print(&t);
    return status == HONE_OK ? code : cli_fail(status);
}

static int print_result(const stored_result *r) {
    report_text subject, time;
    char *name = cli_printable(report_format_subject(&subject, r));
    printf("%s%lld: %s of %s%s, %s UTC, %.1f s\n\n", cli_colour_code(stdout, CLI_BOLD),
           (long long)r->id, result_kind_name(r->kind), name ? name : "",
           cli_colour_code(stdout, CLI_PLAIN), report_format_time(&time, r->started_ms),
           r->seconds);
    mem_free(name);
    int code = print_metrics(r);
    printf("\n");
    if (code == CLI_OK) code = print_conditions(r);
    record_print_doubts(&r->validity);
    return code;
}

/* --- which, and in what form --- */

static int print_text(const results_list *list,
                      hone_status (*make)(buf *out, const stored_result *list, size_t n)) {
    buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    hone_status status = make(&out, list->results, list->n);
    if (status == HONE_OK) cli_write(out.data, out.len);
    buf_release(&out);
    return status == HONE_OK ? cli_finish_output() : cli_fail(status);
}

static int write_page(const results_list *list, const char *path) {
    buf out;
    buf_init(&out, REPORT_MAX_BYTES);
    hone_status status = report_html(&out, list->results, list->n);
    if (status == HONE_OK) status = fs_write_file(path, out.data, out.len);
    buf_release(&out);
    if (status != HONE_OK) return cli_fail(status);
    printf("%s: a page of %zu results\n", path, list->n);
    return CLI_OK;
}

static int print_all(const results_list *list) {
    int code = CLI_OK;
    for (size_t i = 0; i < list->n && code == CLI_OK; i++) {
        if (i > 0) printf("\n");
        code = print_result(&list->results[i]);
    }
    return code;
}

static int tell(const results_list *list, const choice *c) {
    if (c->html) return write_page(list, c->html);
    if (c->markdown) return print_text(list, report_markdown);
    if (c->csv) return print_text(list, report_csv);
    if (c->json) return cli_print_json(report_to_json(list->results, list->n), false);
    return print_all(list);
}

/* Those that were asked for by number, whatever is thought of them. */
static hone_status find_by_number(results *r, const int64_t *ids, size_t n, results_list *list) {
    list->results = mem_calloc(n, sizeof *list->results);
    if (!list->results) return mem_fail("a report", n * sizeof *list->results);
    for (; list->n < n; list->n++) TRY(results_get(r, ids[list->n], &list->results[list->n]));
    return HONE_OK;
}

static int report(results *r, const choice *c, const cli_operands *words, const cli_usage *usage) {
    results_filter filter = {.wanted = c->which.invalid ? RESULTS_ALL : RESULTS_VALID};
    results_list list = {.n = 0};
    int64_t *ids = mem_calloc(words->n + 1, sizeof *ids);
    if (!ids) return cli_fail(mem_fail("a report", words->n * sizeof *ids));
    int code = results_choice_read(&filter, &c->which, usage);
    for (size_t i = 0; i < words->n && code == CLI_OK; i++) {
        code = results_read_id(&ids[i], words->items[i], usage);
    }
    if (code == CLI_OK) {
        hone_status status = words->n ? find_by_number(r, ids, words->n, &list)
                                      : results_find(r, &filter, &list);
        code = status == HONE_OK ? tell(&list, c) : cli_fail(status);
    }
    results_list_release(&list);
    mem_free(ids);
    return code;
}

int cmd_report(int argc, char **argv) {
    choice c = {.which = RESULTS_CHOICE_UNSET, .repeat = CLI_UNSET};
    const cli_option options[] = {
        CLI_TEXT("html", 0, &c.html, "FILE", "write one page with plots that needs nothing else"),
        CLI_FLAG("markdown", 0, &c.markdown, "print Markdown"),
        CLI_FLAG("csv", 0, &c.csv, "print one line for each number"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        CLI_INTEGER("repeat", 0, &c.repeat, "ID", 1, 9e18,
                    "measure this result again by its command, and say whether it holds; exit code 3 "
                    "where it does not"),
        CLI_HEADING("Which (without numbers)"),
        RESULTS_CHOICE_OPTIONS(c.which),
        CLI_FLAG("invalid", 0, &c.which.invalid, "also results that cannot be relied on"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "report",
        .operands = "[ID…]",
        .about = "Results with their intervals, and all that is needed to repeat them: machine, build, "
                 "hashes of files, command lines. Without numbers, all valid results.",
        .examples = "hone report 12\n"
                    "hone report --model smollm2 --html smollm2.html\n"
                    "hone report --repeat 12\n",
        .options = options,
        .max_operands = 1000,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (c.repeat != CLI_UNSET && (operands.n || c.html || c.markdown || c.csv))
        return cli_wrong_use(&usage, "--repeat goes alone, or with --json");
    results *r;
    hone_status status = results_open(&r, NULL);
    if (status != HONE_OK) return cli_fail(status);
    code = c.repeat != CLI_UNSET ? report_repeat(r, c.repeat, c.json)
                                 : report(r, &c, &operands, &usage);
    results_close(r);
    return code;
}
