/* Opening models and sessions for `run`, `show` and `bench`. */
#include "cli/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cpu.h"
#include "base/status.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "weights/catalogue.h"
#include "weights/store.h"

int engine_choose_threads(int64_t flag, int *threads) {
    if (flag != CLI_UNSET) {
        *threads = (int)flag;
        return CLI_OK;
    }
    const char *text = getenv("HONE_THREADS");
    *threads = cpu_choose_threads().n_threads;
    if (!text || !*text || !strcmp(text, "auto")) return CLI_OK;
    char *end;
    long number = strtol(text, &end, 10);
    if (*end || number < 1 || number > 1024) {
        cli_error("HONE_THREADS takes a number from 1 to 1024, not \"%s\"", text);
        return CLI_USAGE;
    }
    *threads = (int)number;
    return CLI_OK;
}

/* A typing slip, or a tag left away: "tale" for "tale:1". */
static bool resembles(const char *typed, const char *name) {
    const char *words[] = {name, NULL};
    size_t n = strlen(typed);
    return cli_nearest(typed, words) || (!strncasecmp(typed, name, n) && name[n] == ':');
}

/* The first name of the store or the catalogue that resembles it; false where there is none. */
static bool find_resembling(const char *typed, char *name, size_t size) {
    store *s;
    store_listing listing = {.n = 0};
    bool found = false;
    if (store_open(&s, NULL) != HONE_OK) return false;
    if (store_list(s, true, &listing) == HONE_OK) {
        for (size_t i = 0; i < listing.n && !found; i++) {
            const char *text = listing.entries[i]->manifest.name.text;
            found = resembles(typed, text);
            if (found) snprintf(name, size, "%s", text);
        }
        store_listing_release(&listing);
    }
    const catalogue_entry *known;
    for (size_t i = 0; !found && (known = catalogue_at(store_catalogue(s), i)); i++) {
        found = resembles(typed, known->name);
        for (const char *const *alias = known->aliases; *alias && !found; alias++) {
            found = resembles(typed, *alias);
        }
        if (found) snprintf(name, size, "%s", known->name);
    }
    store_close(s);
    return found;
}

int engine_fail_model(hone_status status, const char *name) {
    char meant[256];
    if (status != HONE_ERR_NOT_FOUND) return cli_fail(status);
    char sentence[1024];
    snprintf(sentence, sizeof sentence, "%s", hone_error_message());
    if (find_resembling(name, meant, sizeof meant) && strcmp(meant, name) != 0 &&
        !strstr(sentence, meant)) {
        cli_error("%s; did you mean %s?", sentence, meant);
    } else {
        cli_error("%s", sentence);
    }
    return CLI_FAILED;
}

hone_status engine_look_at_model(hone_model **model, const char *name, int n_threads) {
    const hone_model_options options = {.n_threads = n_threads, .describe_only = true};
    return store_open_model(model, name, &options);
}

int engine_open_model(hone_model **model, const char *name, int64_t threads) {
    hone_model_options options = {0};
    int code = engine_choose_threads(threads, &options.n_threads);
    if (code != CLI_OK) return code;
    hone_status status = store_open_model(model, name, &options);
    return status == HONE_OK ? CLI_OK : engine_fail_model(status, name);
}

bool engine_cache_fits(bool exact, int kv) {
    bool fits = !exact || kv < 0 || kv == HONE_KV_F32;
    if (!fits) cli_error("--exact keeps an f32 cache; leave --kv away");
    return fits;
}

hone_kv_type engine_kv_type(const engine_settings *settings) {
    if (settings->exact) return HONE_KV_F32;
    return settings->kv < 0 ? HONE_KV_F16 : (hone_kv_type)settings->kv;
}

const char *engine_kv_name(hone_kv_type type) {
    switch (type) {
    case HONE_KV_F16: return "f16";
    case HONE_KV_F32: return "f32";
    case HONE_KV_Q8_0: return "q8_0";
    }
    return "?";
}

bool engine_find_entry(const char *name, store_entry *entry) {
    store *s;
    bool is_path = name[0] == '/' || name[0] == '.';
    if (is_path || store_open(&s, NULL) != HONE_OK) return false;
    bool found = store_find(s, name, entry) == HONE_OK;
    store_close(s);
    return found;
}

static hone_status load_beside(engine *e, const char *name) {
    store_entry entry;
    store *s;
    if (!engine_find_entry(name, &entry)) return HONE_OK;
    hone_status status = store_open(&s, NULL);
    if (status == HONE_OK) {
        status = model_settings_load(&e->beside, s, &entry);
        store_close(s);
    }
    manifest_release(&entry.manifest);
    return status;
}

static hone_status open_with_own(engine *e, const char *name, int n_threads, bool no_map) {
    TRY(load_beside(e, name));
    const hone_model_options options = {.n_threads = n_threads, .copy_weights = no_map,
                                        .chat_template = model_settings_jinja(&e->beside)};
    TRY(store_open_model(&e->model, name, &options));
    e->own.sampling = hone_sampling_default(e->model);
    hone_status status = ollama_options_apply(&e->own, e->beside.parameters);
    return status == HONE_OK ? HONE_OK : fail_context(status, "%s: its parameters", name);
}

/* The model and what stands beside it. */
static int open_model(engine *e, const char *name, const engine_settings *settings) {
    int n_threads, code = engine_choose_threads(settings->threads, &n_threads);
    if (code != CLI_OK) return code;
    hone_status status = open_with_own(e, name, n_threads, settings->no_map);
    if (status != HONE_OK) return engine_fail_model(status, name);
    if (e->beside.chat_template && !hone_model_describe(e->model)->has_chat_template)
        fprintf(stderr, "hone: warning: the template beside %s is in Go's form, which hone does "
                        "not read, and its file has none\n", name);
    return CLI_OK;
}

/* The context that is asked for; else the one beside the model, as far as the model allows. */
static size_t choose_context(const engine *e, const engine_settings *settings) {
    size_t most = hone_model_describe(e->model)->n_context, own = e->own.n_context;
    if (settings->context != CLI_UNSET) return (size_t)settings->context;
    return own < most ? own : most;
}

static int open_session(hone_session **session, hone_model *model, size_t n_context,
                        const engine_settings *settings, size_t prefill_chunk) {
    const hone_session_options options = {
        .n_context = n_context,
        .kv = engine_kv_type(settings),
        .exact = settings->exact,
        .prefill_chunk = prefill_chunk,
    };
    hone_status status = hone_session_open(session, model, &options);
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

/* Those beside the model, then those of the settings. */
static int apply_adapters(const engine *e, const engine_settings *settings, hone_session *session) {
    cli_texts all = {.n = 0};
    for (size_t i = 0; i < e->beside.n_adapters; i++)
        all.items[all.n++] = e->beside.adapters[i].text;
    for (size_t i = 0; i < settings->adapters.n && all.n < HONE_MAX_ADAPTERS + 1; i++)
        all.items[all.n++] = settings->adapters.items[i];
    return adapter_option_apply(&all, e->model, session);
}

int engine_open_session(hone_session **session, const engine *e, const engine_settings *settings,
                        size_t prefill_chunk) {
    int code = open_session(session, e->model, choose_context(e, settings), settings,
                            prefill_chunk);
    if (code != CLI_OK) return code;
    code = apply_adapters(e, settings, *session);
    if (code == CLI_OK) return CLI_OK;
    hone_session_close(*session);
    *session = NULL;
    return code;
}

static int open_draft(engine *e, const engine_settings *settings) {
    if (!settings->draft) return CLI_OK;
    e->n_draft = settings->n_draft == CLI_UNSET ? 0 : (size_t)settings->n_draft;
    if (!strcmp(settings->draft, "ngram")) {
        e->draft_kind = HONE_DRAFT_NGRAM;
        return CLI_OK;
    }
    e->draft_kind = HONE_DRAFT_MODEL;
    int code = engine_open_model(&e->draft_model, settings->draft, settings->threads);
    if (code != CLI_OK) return code;
    return open_session(&e->draft_session, e->draft_model, 0, settings, 0);
}

const char *engine_format_drafts(cli_text *t, size_t n_accepted, size_t n_drafted) {
    if (n_drafted == 0) return "nothing was drafted";
    snprintf(t->text, sizeof t->text, "%zu of %zu drafts accepted (%.0f %%)", n_accepted, n_drafted,
             100 * (double)n_accepted / (double)n_drafted);
    return t->text;
}

int engine_open(engine *e, const char *name, const engine_settings *settings) {
    if (!engine_cache_fits(settings->exact, settings->kv)) return CLI_USAGE;
    if (settings->n_draft != CLI_UNSET && !settings->draft) {
        cli_error("--draft-tokens needs --draft");
        return CLI_USAGE;
    }
    *e = (engine){.n_draft = 0};
    double start_ms = clock_ms();
    int code = open_model(e, name, settings);
    if (code == CLI_OK)
        code = engine_open_session(&e->session, e, settings, settings->prefill_chunk);
    e->load_ms = clock_ms() - start_ms;
    if (code == CLI_OK) code = open_draft(e, settings);
    if (code != CLI_OK) engine_release(e);
    return code;
}

void engine_release(engine *e) {
    hone_session_close(e->draft_session);
    hone_model_close(e->draft_model);
    hone_session_close(e->session);
    hone_model_close(e->model);
    ollama_options_release(&e->own);
    model_settings_release(&e->beside);
    *e = (engine){.n_draft = 0};
}
