/* `hone list`: the models in the local store, and in other programs' caches. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/store_json.h"
#include "weights/store.h"

static int print_json(const store *s, const store_listing *listing) {
    json_t *models = json_array();
    for (size_t i = 0; models && i < listing->n; i++) {
        if (json_array_append_new(models, store_entry_json(listing->entries[i])) == 0) continue;
        json_decref(models);
        models = NULL;
    }
    json_t *root = models ? json_pack("{ss so sI}", "folder", store_folder(s), "models", models,
                                      "disk_bytes", (json_int_t)listing->disk_bytes)
                          : NULL;
    return cli_print_json(root, false);
}

static void format_day(char *out, size_t size, int64_t seconds) {
    time_t when = (time_t)seconds;
    struct tm local;
    if (!localtime_r(&when, &local) || !strftime(out, size, "%Y-%m-%d %H:%M", &local))
        snprintf(out, size, "?");
}

static int print_table(const store *s, const store_listing *listing) {
    if (listing->n == 0) {
        fprintf(stderr, "no models yet in %s; `hone pull smollm2:135m` fetches a small one\n",
                store_folder(s));
        return CLI_OK;
    }
    static const char *const headers[] = {"NAME", "SIZE", "LICENCE", "ORIGIN", "SINCE", "FILE"};
    cli_table table;
    cli_text size;
    cli_table_init(&table, "lrllll", headers);
    for (size_t i = 0; i < listing->n; i++) {
        const store_entry *entry = listing->entries[i];
        const manifest *m = &entry->manifest;
        char day[32];
        format_day(day, sizeof day, entry->modified);
        cli_table_add(&table, "%s", m->name.text);
        cli_table_add(&table, "%s", cli_format_bytes(&size, entry->bytes));
        cli_table_add(&table, "%s", m->license[0] ? m->license : "?");
        cli_table_add(&table, "%s", entry->keeper ? entry->keeper : "hone");
        cli_table_add(&table, "%s", day);
        if (!entry->problem[0] && m->n_files > 1)
            cli_table_add(&table, "%s and %zu more", m->files[0].name, m->n_files - 1);
        else
            cli_table_add(&table, "%s", entry->problem[0] ? entry->problem
                                        : m->n_files      ? m->files[0].name
                                                          : "?");
    }
    int code = cli_table_print(&table);
    if (cli_is_terminal(stderr))
        fprintf(stderr, "%s on disk in %s\n", cli_format_bytes(&size, listing->disk_bytes),
                store_folder(s));
    return code;
}

int cmd_list(int argc, char **argv) {
    bool json = false;
    const cli_option options[] = {
        CLI_FLAG("json", 0, &json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {.command = "list",
                             .about = "Lists the models in the local store (HONE_HOME, or hone's "
                                      "folder among your data), and those that huggingface_hub, "
                                      "Ollama and LM Studio keep on this machine: hone uses them "
                                      "where they are. Files that several names share take "
                                      "their room once.",
                             .options = options};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;

    store *s;
    store_listing listing;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    status = store_list(s, true, &listing);
    if (status == HONE_OK) {
        code = json ? print_json(s, &listing) : print_table(s, &listing);
        store_listing_release(&listing);
    } else {
        code = cli_fail(status);
    }
    store_close(s);
    return code;
}
