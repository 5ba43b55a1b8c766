/* `hone verify`: whether the files of models are what they were when they came. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "weights/store.h"

static bool on_progress(void *context, const char *file, uint64_t bytes, uint64_t total) {
    (void)context;
    cli_progress_bytes(file, bytes, total);
    return !interrupt_seen();
}

/* One line: "name: sound, 93.8 MiB" or "name: damaged: …". */
static int verify_entry(const store *s, const store_entry *entry, bool json) {
    const char *name = entry->manifest.name.text;
    size_t n_unknown = 0;
    cli_text size;
    hone_status status = store_verify(s, entry, on_progress, NULL, &n_unknown);
    cli_progress_clear();
    if (status == HONE_ERR_CANCELLED) return cli_fail(status);
    bool sound = status == HONE_OK;
    if (json) {
        int printed = cli_print_json(
            json_pack("{ss sb sI so}", "name", name, "sound", sound, "without_hash",
                      (json_int_t)n_unknown, "problem",
                      sound ? json_null() : cli_json_text(hone_error_message())), true);
        if (printed != CLI_OK) return printed;
    } else if (!sound) {
        char *words = cli_printable(hone_error_message());
        printf("%s: %s\n", name, words ? words : "damaged");
        mem_free(words);
    } else {
        printf("%s: sound, %s%s\n", name, cli_format_bytes(&size, entry->bytes),
               n_unknown ? ", not all of its hashes are known" : "");
    }
    return sound ? CLI_OK : CLI_FAILED;
}

static int verify_named(const store *s, const cli_operands *operands, bool json) {
    int code = CLI_OK;
    for (size_t i = 0; i < operands->n && code != CLI_INTERRUPTED; i++) {
        store_entry entry;
        hone_status status = store_find(s, operands->items[i], &entry);
        int end = status == HONE_OK ? verify_entry(s, &entry, json)
                                    : engine_fail_model(status, operands->items[i]);
        if (status == HONE_OK) manifest_release(&entry.manifest);
        if (end != CLI_OK) code = end;
    }
    return code;
}

static int verify_all(const store *s, bool json) {
    store_listing listing;
    int code = CLI_OK;
    hone_status status = store_list(s, false, &listing);
    if (status != HONE_OK) return cli_fail(status);
    for (size_t i = 0; i < listing.n && code != CLI_INTERRUPTED; i++) {
        int end = verify_entry(s, listing.entries[i], json);
        if (end != CLI_OK) code = end;
    }
    store_listing_release(&listing);
    return code;
}

int cmd_verify(int argc, char **argv) {
    bool json = false;
    const cli_option options[] = {
        CLI_FLAG("json", 0, &json, "print one JSON object for each model"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "verify",
        .operands = "[MODEL…]",
        .about = "Reads the files of models and compares them with their SHA-256. Without a MODEL, "
                 "all of the local store. A damaged one is pulled again after `hone rm`.",
        .options = options,
        .max_operands = 64};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;

    store *s;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    interrupt_arm(NULL);
    code = operands.n ? verify_named(s, &operands, json) : verify_all(s, json);
    interrupt_disarm();
    store_close(s);
    return code;
}
