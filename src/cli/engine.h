/* What `run` and `bench` open before they work: a model by name, a session over it, and where asked
 * for a second pair that drafts. */
#ifndef CLI_ENGINE_H
#define CLI_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/adapter_option.h"
#include "cli/output.h"
#include "hone/hone.h"
#include "serve/model_settings.h"
#include "serve/ollama_options.h"

/* Options that both commands take; see ENGINE_OPTIONS. */
typedef struct engine_settings {
    int64_t context, threads; /* CLI_UNSET = the model's maximum, HONE_THREADS or auto */
    int kv;                   /* index in ENGINE_KV_CHOICES, −1 = the mode's own */
    bool exact;
    const char *draft;        /* "ngram", a model, or NULL */
    int64_t n_draft;          /* CLI_UNSET = the library's default */
    cli_texts adapters;
    size_t prefill_chunk;     /* 0 = the library's default; comes from a profile */
    bool no_map;
} engine_settings;

/* In the order of hone_kv_type. */
#define ENGINE_KV_CHOICES "f16|f32|q8_0"
#define ENGINE_SETTINGS_UNSET                                                                      \
    {CLI_UNSET, CLI_UNSET, -1, false, NULL, CLI_UNSET, {{NULL}, 0}, 0, false}

/* Rows of an option table for engine_settings `s`. */
#define ENGINE_OPTIONS(s)                                                                          \
    ENGINE_SESSION_OPTIONS(s),                                                                     \
    CLI_TEXT("draft", 0, &(s).draft, "MODEL|ngram",                                                \
             "speculate with a smaller model of the same vocabulary, or with n-grams of the text " \
             "so far; the answer stays what it would be without"),                                 \
    CLI_INTEGER("draft-tokens", 0, &(s).n_draft, "N", 1, HONE_MAX_DRAFT,                           \
                "tokens drafted at a time (default 5)"),                                           \
    CLI_FLAG("no-map", 0, &(s).no_map, "copy the weights into memory, in large pages where the "   \
                                       "system has them, instead of mapping the file")

/* Those of them that a session needs, without speculation. */
#define ENGINE_SESSION_OPTIONS(s)                                                                  \
    CLI_INTEGER("context", 'c', &(s).context, "N", 1, 1 << 30,                                     \
                "most tokens of prompt and answer (default: the model's maximum)"),                \
    CLI_INTEGER("threads", 't', &(s).threads, "N|auto", 1, 1024,                                   \
                "compute threads (default: $HONE_THREADS, or auto: one for each core that this "   \
                "process may use, fast cores only; `hone version --verbose` tells why)"),          \
    CLI_CHOICE("kv", 0, &(s).kv, ENGINE_KV_CHOICES,                                                \
               "type of the key/value cache (default f16; f32 with --exact)"),                     \
    CLI_FLAG("exact", 0, &(s).exact, "float activations and an f32 cache: slower, reproducible "   \
                                     "for any number of threads and any batch"),                   \
    ADAPTER_OPTION(&(s).adapters, "use this adapter (LoRA: PEFT folder or GGUF), at this scale "   \
                                  "(default 1); repeatable")

typedef struct engine {
    hone_model *model, *draft_model;
    hone_session *session, *draft_session;
    hone_draft_kind draft_kind;
    size_t n_draft;
    model_settings beside; /* what stands beside the model in the store; of a path nothing */
    ollama_options own;    /* the model's recommendation, and on top of it those parameters */
    double load_ms; /* opening the model and its session */
} engine;

/* Opens what the settings ask for, with the template, the adapters and the context length that
 * stand beside the model where the settings say nothing else; tells what went wrong. Returns an
 * exit code; release after CLI_OK only. `name` is a name in the store, a file or a folder. */
int engine_open(engine *e, const char *name, const engine_settings *settings);
void engine_release(engine *e);

/* Another session like e->session, which reads prompts in passes of so many tokens. Returns an exit
 * code. */
int engine_open_session(hone_session **session, const engine *e, const engine_settings *settings,
                        size_t prefill_chunk);

/* What the store has under that name; false where the name is a path or not there. Release the
 * entry's manifest. */
bool engine_find_entry(const char *name, store_entry *entry);

/* For a model that the store does not know: the sentence, with the name that was perhaps meant.
 * Returns an exit code. */
int engine_fail_model(hone_status status, const char *name);

/* What --threads (CLI_UNSET where absent) and HONE_THREADS mean: a number of compute threads. A
 * flag beats the environment. Returns an exit code. */
int engine_choose_threads(int64_t flag, int *threads);

/* Opens a model to be looked at, also one that this machine has no memory for, and says nothing;
 * words as for every hone call. */
hone_status engine_look_at_model(hone_model **model, const char *name, int n_threads);

/* Opens only the model; tells what went wrong. Returns an exit code. */
int engine_open_model(hone_model **model, const char *name, int64_t threads);

/* Whether --kv (negative: not given) is what the exact mode keeps; says so where it is not. */
bool engine_cache_fits(bool exact, int kv);

/* The cache type that the settings mean. */
hone_kv_type engine_kv_type(const engine_settings *settings);
const char *engine_kv_name(hone_kv_type type);

/* How well speculation went: "8 of 10 drafts accepted (80 %)". */
const char *engine_format_drafts(cli_text *t, size_t n_accepted, size_t n_drafted);

#endif
