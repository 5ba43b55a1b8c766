/* `hone tasks`: what `hone eval` can try a model on; and getting the public sets' items. */
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "lab/task.h"

/* --- listing --- */

static hone_status add_row(void *context, const task_summary *s) {
    cli_table *t = context;
    cli_table_add(t, "%s", s->name);
    cli_table_add(t, "%s", s->kind);
    if (s->n_items) cli_table_add(t, "%zu", s->n_items);
    else cli_table_add(t, " ");
    cli_table_add(t, "%s", s->is_here ? "yes" : s->has_source ? "to be fetched" : "--items");
    cli_table_add(t, "%s", s->description);
    return HONE_OK;
}

static int print_page(void) {
    static const char *const headers[] = {"task", "kind", "items", "here", "what"};
    cli_table t;
    cli_table_init(&t, "llrll", headers);
    t.n_columns = sizeof headers / sizeof *headers;
    hone_status status = task_each(add_row, &t);
    int code = cli_table_print(&t);
    return status == HONE_OK ? code : cli_fail(status);
}

static hone_status add_object(void *context, const task_summary *s) {
    json_array_append_new(
        context, json_pack("{s:s, s:s, s:I, s:b, s:b, s:s, s:s, s:s}", "task", s->name, "kind",
                           s->kind, "n", (json_int_t)s->n_items, "here", s->is_here, "has_source",
                           s->has_source, "description", s->description, "licence", s->licence,
                           "origin", s->origin));
    return HONE_OK;
}

static int print_json(void) {
    json_t *list = json_array();
    hone_status status = task_each(add_object, list);
    if (status == HONE_OK) return cli_print_json(json_pack("{s:o}", "tasks", list), false);
    json_decref(list);
    return cli_fail(status);
}

/* --- fetching --- */

static bool on_progress(void *context, uint64_t done, uint64_t total) {
    cli_progress_bytes(context, done, total);
    return !interrupt_seen();
}

static int fetch(const char *name) {
    interrupt_arm(NULL);
    hone_status status = task_fetch(name, on_progress, (void *)(uintptr_t)name);
    interrupt_disarm();
    cli_progress_clear();
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

int cmd_tasks(int argc, char **argv) {
    const char *wanted = NULL;
    bool json = false;
    const cli_option options[] = {
        CLI_TEXT("fetch", 0, &wanted, "TASK",
                 "get a public set's items, compared with the hash that is known, to the folder of "
                 "your data"),
        CLI_FLAG("json", 0, &json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "tasks",
        .about = "Lists the tasks that `hone eval` knows: hone's own, which come with their items, "
                 "and public sets, whose items are fetched or named with --items. A task is a "
                 "manifest and a file of items (docs/eval.md); more of them are found in the "
                 "folders of $HONE_TASKS and in `tasks` among your data.",
        .examples = "hone tasks\n"
                    "hone tasks --fetch ifeval\n",
        .options = options,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (wanted) return fetch(wanted);
    return json ? print_json() : print_page();
}
