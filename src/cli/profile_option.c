#include "cli/profile_option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "lab/profile.h"

/* --- in words --- */

enum { MAX_WORDS = 240 };

typedef struct words {
    char text[MAX_WORDS];
    size_t n;
} words;

static void add(words *w, const char *name, const char *value) {
    if (w->n < MAX_WORDS)
        w->n += (size_t)snprintf(w->text + w->n, MAX_WORDS - w->n, "%s%s %s", w->n ? ", " : "",
                                 name, value);
}

static void add_number(words *w, const char *name, double value) {
    cli_text text;
    if (isnan(value) || value < 0) return;
    snprintf(text.text, sizeof text.text, "%.6g", value);
    add(w, name, text.text);
}

static void describe(words *w, const profile *p) {
    add_number(w, "threads", p->n_threads);
    add_number(w, "slots", p->n_slots);
    add_number(w, "prefill chunk", p->prefill_chunk);
    add_number(w, "context", p->n_context);
    if (p->kv >= 0) add(w, "cache", engine_kv_name((hone_kv_type)p->kv));
    if (p->map == 0) add(w, "weights", "copied");
    add_number(w, "n-gram drafts", p->n_draft);
    add_number(w, "temperature", p->temperature);
    add_number(w, "top-p", p->top_p);
    add_number(w, "top-k", p->top_k);
    add_number(w, "min-p", p->min_p);
    add_number(w, "repeat penalty", p->repeat_penalty);
}

/* False where there is nothing to take. `path` (may be NULL) is where else the model may be
 * known. */
static bool load(profile *p, const char *model, const char *path) {
    profile_state state = profile_load(p, model);
    if (state == PROFILE_NONE && path) state = profile_load(p, path);
    if (state == PROFILE_STALE)
        fprintf(stderr, "hone: the profile of %s is not used: %s (hone tune makes a new one)\n",
                model, hone_error_message());
    return state == PROFILE_FRESH && !profile_is_empty(p);
}

static void tell(const char *model, const profile *p) {
    words w = {.n = 0};
    if (!cli_is_terminal(stderr)) return;
    describe(&w, p);
    fprintf(stderr, "%s, as tuned%s: %s (--no-profile: not)\n", model,
            p->is_doubted ? " on a busy machine (better tune again)" : "", w.text);
}

static bool threads_are_free(int64_t flag) {
    const char *variable = getenv("HONE_THREADS");
    return flag == CLI_UNSET && (!variable || !*variable || !strcmp(variable, "auto"));
}

/* --- hone run --- */

static void take_real(double *setting, double value) {
    if (isnan(*setting)) *setting = value;
}

void profile_option_run(engine_settings *to, answer_settings *sampling, const char *model) {
    profile p;
    if (!load(&p, model, NULL)) return;
    p.n_slots = -1; /* one answer at a time */
    if (profile_is_empty(&p)) return;
    if (p.n_threads > 0 && threads_are_free(to->threads)) to->threads = p.n_threads;
    if (p.n_context > 0 && to->context == CLI_UNSET) to->context = p.n_context;
    if (p.prefill_chunk > 0) to->prefill_chunk = (size_t)p.prefill_chunk;
    if (p.map == 0) to->no_map = true;
    if (p.kv >= 0 && to->kv < 0 && !to->exact) to->kv = p.kv;
    if (p.n_draft > 0 && !to->draft && to->n_draft == CLI_UNSET) {
        to->draft = "ngram";
        to->n_draft = p.n_draft;
    }
    take_real(&sampling->temperature, p.temperature);
    take_real(&sampling->top_p, p.top_p);
    take_real(&sampling->min_p, p.min_p);
    take_real(&sampling->repeat_penalty, p.repeat_penalty);
    if (!isnan(p.top_k) && sampling->top_k == CLI_UNSET) sampling->top_k = (int64_t)p.top_k;
    tell(model, &p);
}

/* --- hone serve --- */

static void set_real(json_t *o, const char *name, double value) {
    if (!isnan(value)) json_object_set_new(o, name, json_real(value));
}

/* Under Ollama's names, as what stands beside a model. */
static json_t *make_parameters(const profile *p) {
    json_t *o = json_object();
    set_real(o, "temperature", p->temperature);
    set_real(o, "top_p", p->top_p);
    set_real(o, "min_p", p->min_p);
    set_real(o, "repeat_penalty", p->repeat_penalty);
    if (!isnan(p->top_k)) json_object_set_new(o, "top_k", json_integer((json_int_t)p->top_k));
    return o;
}

void profile_option_serve(void *user, const char *name, const char *path, model_opening *opening) {
    const profile_option_free *is_free = user;
    profile p;
    if (!load(&p, name, path)) return;
    p.n_draft = -1; /* drafts are of no use to answers that share their steps */
    if (profile_is_empty(&p)) return;
    if (p.n_threads > 0 && is_free->threads && threads_are_free(CLI_UNSET))
        opening->n_threads = p.n_threads;
    if (p.n_slots > 0 && is_free->slots) opening->n_slots = (size_t)p.n_slots;
    if (p.n_context > 0 && is_free->context) opening->session.n_context = (size_t)p.n_context;
    if (p.kv >= 0 && is_free->kv) opening->session.kv = (hone_kv_type)p.kv;
    if (p.map == 0) opening->copy_weights = true;
    if (p.prefill_chunk > 0) opening->session.prefill_chunk = (size_t)p.prefill_chunk;
    opening->parameters = make_parameters(&p);
    tell(name, &p);
}
