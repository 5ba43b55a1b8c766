/* The choice: a rule, else measured rows, else sizes; then whether it fits. */
#include "route/route.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "hone/memory.h"

/* For speed, a model may do worse than the best, but not by more than this share of its figure, as
 * far as the intervals tell. */
static const double least_share_for_speed = 0.8;

enum { MAX_REASON_BYTES = 1024 };

typedef struct routing {
    const route_request *request;
    route_choice *choice;
    const route_rule *rule; /* the first that fits; NULL = none */
    size_t rule_number;
    bool *refused;          /* [candidates] looked at, and passed over */
    size_t n_too_large;
} routing;

const char *route_basis_name(route_basis b) {
    static const char *const names[] = {"default", "measured", "rule"};
    return names[b];
}

hone_status route_reason(route_choice *c, const char *format, ...) {
    char text[MAX_REASON_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->n_reasons == ROUTE_MAX_REASONS) return HONE_OK;
    c->reasons[c->n_reasons] = mem_copy_string(text, strlen(text));
    if (!c->reasons[c->n_reasons]) return mem_fail("reason", sizeof text);
    c->n_reasons++;
    return HONE_OK;
}

/* A reason; and the same for what would have come first. */
#define reason(r, ...) route_reason((r)->choice, __VA_ARGS__)
#define pass_over(r, ...) ((r)->choice->fallback = true, route_reason((r)->choice, __VA_ARGS__))

static const store_entry *entry_of(const routing *r, size_t candidate) {
    return r->choice->listing.entries[candidate];
}

static const char *name_of(const routing *r, size_t candidate) {
    return entry_of(r, candidate)->manifest.name.text;
}

static const route_loaded *find_loaded(const routing *r, size_t candidate) {
    const route_request *q = r->request;
    return q->find_loaded ? q->find_loaded(q->user, name_of(r, candidate)) : NULL;
}

static bool is_loaded(const routing *r, size_t candidate) {
    return find_loaded(r, candidate) != NULL;
}

/* --- whether a candidate will do --- */

static double mebibytes(uint64_t bytes) { return (double)bytes / (1 << 20); }

/* Whether the answer is to come from a model for speech. */
static bool wants_speech(const routing *r) {
    return r->choice->guess.kind == KIND_SPEECH && !r->request->text_only;
}

static bool is_of_kind(const routing *r, bool takes_text, bool takes_audio) {
    return wants_speech(r) ? takes_audio : takes_text && !takes_audio;
}

/* Whether the open model can answer this kind, and fits; why not, goes into the reasons. */
static hone_status judge_model(routing *r, size_t candidate, const hone_model *model, bool *does) {
    route_choice *c = r->choice;
    const char *name = name_of(r, candidate);
    const hone_model_info *info = hone_model_describe(model);
    *does = is_of_kind(r, info->takes_text, info->takes_audio);
    c->memory_bytes = 0;
    if (*does && !wants_speech(r)) {
        hone_fit fit;
        hone_status status = hone_fit_model(&fit, model,
                                            &(hone_fit_wish){.memory = r->request->memory});
        if (status != HONE_OK) return status;
        c->memory_bytes = fit.bytes;
        *does = fit.fits;
        r->n_too_large += !*does;
        if (!*does)
            TRY(pass_over(r, "%s does not fit: it needs %.0f MiB of the %.0f MiB there are", name,
                       mebibytes(fit.bytes), mebibytes(fit.limit)));
    }
    if (*does) snprintf(c->quantisation, sizeof c->quantisation, "%s", info->weight_type);
    return HONE_OK;
}

/* One that is loaded needs not be looked at. */
static void judge_loaded(routing *r, const route_loaded *loaded, bool *does) {
    *does = is_of_kind(r, loaded->takes_text, loaded->takes_audio);
    r->choice->memory_bytes = loaded->bytes;
    memcpy(r->choice->quantisation, loaded->quantisation, sizeof loaded->quantisation);
}

/* A model that cannot be opened is passed over with its reason. */
static hone_status look_and_judge(routing *r, size_t candidate, bool *does) {
    hone_model *model;
    const hone_model_options look = {.describe_only = true};
    const store_entry *entry = entry_of(r, candidate);
    hone_status status = hone_model_open(&model, entry->path.text, &look);
    if (status == HONE_OK) {
        status = judge_model(r, candidate, model, does);
        hone_model_close(model);
    }
    if (status != HONE_OK && status != HONE_ERR_MEMORY) {
        const char *words = hone_error_message(); /* the name is told, not where the file lies */
        size_t n_path = strlen(entry->path.text);
        if (!strncmp(words, entry->path.text, n_path))
            words += n_path + strspn(words + n_path, ": ");
        *does = false;
        status = pass_over(r, "%s cannot be used: %s", name_of(r, candidate), words);
    }
    return status;
}

static hone_status judge(routing *r, size_t candidate, bool *does) {
    const route_loaded *loaded = find_loaded(r, candidate);
    hone_status status = HONE_OK;
    *does = false;
    if (r->refused[candidate]) return HONE_OK;
    if (loaded) judge_loaded(r, loaded, does);
    else status = look_and_judge(r, candidate, does);
    r->refused[candidate] = !*does;
    if (*does) snprintf(r->choice->model, sizeof r->choice->model, "%s", name_of(r, candidate));
    return status;
}

/* --- by rule --- */

static bool find_name(const routing *r, const char *name, size_t *candidate) {
    model_name full;
    const store_listing *list = &r->choice->listing;
    if (store_full_name(r->request->store, &full, name) != HONE_OK) return false;
    for (size_t i = 0; i < list->n; i++)
        if (!list->entries[i]->problem[0] && !strcmp(name_of(r, i), full.text)) {
            *candidate = i;
            return true;
        }
    return false;
}

static hone_status copy(char **to, const char *from) {
    if (!from) return HONE_OK;
    *to = mem_copy_string(from, strlen(from));
    return *to ? HONE_OK : mem_fail("choice", strlen(from));
}

/* The first rule whose model, where it names one, can be had. */
static hone_status choose_by_rule(routing *r, bool *chosen) {
    const route_rules *rules = r->request->rules;
    route_choice *c = r->choice;
    for (size_t i = 0; rules && i < rules->n && !r->rule; i++) {
        const route_rule *rule = &rules->rules[i];
        size_t candidate;
        bool does = true;
        if (!route_rule_fits(rule, c->guess.kind, r->request->priority)) continue;
        if (rule->model && !find_name(r, rule->model, &candidate)) {
            TRY(pass_over(r, "rule %zu is for this, but %s is not in the store", i + 1,
                          rule->model));
            continue;
        }
        if (rule->model) TRY(judge(r, candidate, &does));
        if (!does) {
            TRY(pass_over(r, "rule %zu is for this, but %s will not do", i + 1, rule->model));
            continue;
        }
        r->rule = rule;
        r->rule_number = i + 1;
        *chosen = rule->model != NULL;
    }
    if (!r->rule) return HONE_OK;
    c->settings = r->rule->settings;
    if (*chosen) c->basis = ROUTE_BY_RULE;
    TRY(copy(&c->strategy, r->rule->strategy));
    TRY(copy(&c->system, r->rule->system));
    return reason(r, "rule %zu%s%s%s%s", r->rule_number, *chosen ? " names " : " decides the rest",
                  *chosen ? c->model : "", r->rule->because ? ": " : "",
                  r->rule->because ? r->rule->because : "");
}

/* --- by measurement --- */

/* How fast a row's model is: one that is loaded already, then as measured, else the smaller file is
 * taken for the faster. */
static bool is_faster(const routing *r, const measured_row *a, const measured_row *b) {
    bool here = is_loaded(r, a->candidate), there = is_loaded(r, b->candidate);
    if (here != there && r->request->priority != ROUTE_QUALITY) return here;
    const double *decode = r->choice->measured.decode;
    double x = decode[a->candidate], y = decode[b->candidate];
    if (x > 0 && y > 0) return x > y;
    return entry_of(r, a->candidate)->bytes < entry_of(r, b->candidate)->bytes;
}

/* Whether the row is good enough beside the best one. */
static bool is_eligible(route_priority priority, const measured_row *row,
                        const measured_row *best) {
    switch (priority) {
    case ROUTE_SPEED: return row->quality.high >= least_share_for_speed * best->quality.value;
    case ROUTE_BALANCED: return row->quality.high >= best->quality.low;
    case ROUTE_QUALITY: return row->quality.value >= best->quality.value;
    }
    return false;
}

/* The best of the rows of one draw that can be had; they are sorted. NULL = none. */
static hone_status find_best(routing *r, const measured_row **best) {
    const measured *m = &r->choice->measured;
    *best = NULL;
    for (size_t i = 0; i < m->n_rows && !*best; i++) {
        bool does = false;
        if (!m->rows[i].strategy[0]) TRY(judge(r, m->rows[i].candidate, &does));
        if (does) *best = &m->rows[i];
    }
    return HONE_OK;
}

/* The fastest of the rows that are good enough. */
static hone_status find_pick(routing *r, const measured_row *best, const measured_row **pick) {
    const measured *m = &r->choice->measured;
    *pick = best;
    for (size_t i = 0; i < m->n_rows; i++) {
        const measured_row *row = &m->rows[i];
        bool does = false;
        if (row->strategy[0] || !is_eligible(r->request->priority, row, best) ||
            !is_faster(r, row, *pick))
            continue;
        TRY(judge(r, row->candidate, &does));
        if (does) *pick = row;
    }
    return HONE_OK;
}

static hone_status tell_pick(routing *r, const measured_row *pick, const measured_row *best) {
    const measured *m = &r->choice->measured;
    char speed[64] = "its speed was not measured here";
    if (m->decode[pick->candidate] > 0)
        snprintf(speed, sizeof speed, "%.1f tokens/s here", m->decode[pick->candidate]);
    if (is_loaded(r, pick->candidate)) snprintf(speed, sizeof speed, "it is loaded");
    TRY(reason(r, "measured: %s has %.3f (%.3f to %.3f) on %s, %llu items, result %lld; %s",
               r->choice->model, pick->quality.value, pick->quality.low, pick->quality.high,
               m->task, (unsigned long long)pick->n, (long long)pick->result, speed));
    if (pick == best)
        return reason(r, "no other that would do has a better figure there, or is faster and good "
                         "enough for the priority %s", route_priority_name(r->request->priority));
    return reason(r, "%s has %.3f (%.3f to %.3f), but is slower, and for the priority %s the "
                     "difference does not count", name_of(r, best->candidate), best->quality.value,
                  best->quality.low, best->quality.high, route_priority_name(r->request->priority));
}

/* A strategy that was better than one draw of the same model, beyond the intervals. */
static hone_status choose_strategy(routing *r, const measured_row *pick) {
    const measured *m = &r->choice->measured;
    if (r->choice->strategy || r->request->priority != ROUTE_QUALITY) return HONE_OK;
    for (size_t i = 0; i < m->n_rows; i++) {
        const measured_row *row = &m->rows[i];
        if (row->candidate != pick->candidate || !row->strategy[0]) continue;
        if (row->quality.low <= pick->quality.high) continue;
        TRY(copy(&r->choice->strategy, row->strategy));
        return reason(r, "measured: with %s it has %.3f (%.3f to %.3f), result %lld", row->strategy,
                      row->quality.value, row->quality.low, row->quality.high,
                      (long long)row->result);
    }
    return HONE_OK;
}

static size_t count_measured(const measured *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_rows; i++) n += !m->rows[i].strategy[0];
    return n;
}

static hone_status choose_by_measurement(routing *r, bool *chosen) {
    route_choice *c = r->choice;
    const measured_row *best, *pick;
    const char *kind = kind_name(c->guess.kind);
    if (count_measured(&c->measured) == 0)
        return reason(r, "nothing was measured for %s (hone eval MODEL --tasks … would)", kind);
    if (count_measured(&c->measured) == 1 && c->listing.n > 1)
        return reason(r, "only %s was measured for %s: there is nothing to compare it with",
                      name_of(r, c->measured.rows[0].candidate), kind);
    TRY(find_best(r, &best));
    if (!best) return pass_over(r, "none of those that were measured for %s will do", kind);
    TRY(find_pick(r, best, &pick));
    bool does;
    TRY(judge(r, pick->candidate, &does)); /* it is the last one looked at now */
    *chosen = does;
    c->basis = ROUTE_BY_MEASUREMENT;
    TRY(tell_pick(r, pick, best));
    return choose_strategy(r, pick);
}

/* --- by default --- */

/* Speed: one that is loaded, else the smallest file. Quality: the largest. Balanced: the largest up
 * to half of the memory. */
static bool is_preferred(const routing *r, size_t a, size_t b) {
    uint64_t x = entry_of(r, a)->bytes, y = entry_of(r, b)->bytes;
    uint64_t memory = r->request->memory ? r->request->memory : hone_memory_free();
    bool here = is_loaded(r, a), there = is_loaded(r, b);
    if (r->request->priority == ROUTE_SPEED) return here != there ? here : x < y;
    bool small_x = x <= memory / 2, small_y = y <= memory / 2;
    if (r->request->priority == ROUTE_BALANCED && small_x != small_y) return small_x;
    return x > y;
}

static hone_status choose_by_default(routing *r, bool *chosen) {
    static const char *const words[] = {
        "the smallest file that will do",
        "the largest file up to half of the memory, or what comes near",
        "the largest file that fits"};
    const store_listing *list = &r->choice->listing;
    size_t best;
    for (;;) {
        best = list->n;
        for (size_t i = 0; i < list->n; i++)
            if (!r->refused[i] && (best == list->n || is_preferred(r, i, best))) best = i;
        if (best == list->n) return HONE_OK;
        TRY(judge(r, best, chosen));
        if (*chosen) break;
    }
    r->choice->basis = ROUTE_BY_DEFAULT;
    return reason(r, "by default, for the priority %s: %s, %s%s",
                  route_priority_name(r->request->priority), words[r->request->priority],
                  r->choice->model, is_loaded(r, best) ? " (loaded)" : "");
}

/* --- all of it --- */

static hone_status tell_kind(routing *r) {
    const kind_guess *g = &r->choice->guess;
    char signs[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < g->n_signs && used < sizeof signs - 1; i++) {
        int n = snprintf(signs + used, sizeof signs - used, "%s\"%s\"", i ? ", " : "",
                         g->signs[i].feature);
        used += n > 0 ? (size_t)n : 0;
    }
    TRY(reason(r, "the prompt reads as %s (%.0f %%)%s%s", kind_name(g->kind),
               100 * g->probabilities[g->kind], *signs ? ": " : "; nothing in it is known", signs));
    if (g->kind == KIND_SPEECH && r->request->text_only)
        return reason(r,
                      "it is to be answered in text all the same (hone transcribe is for speech)");
    if (g->kind != KIND_IMAGE) return HONE_OK;
    return reason(r, "no model that hone runs sees pictures: a text model answers");
}

/* Without what was measured there are other things to choose by. */
static hone_status recall(routing *r) {
    route_choice *c = r->choice;
    hone_status status = route_files_measured(r->request->files, &c->measured, &c->listing,
                                              c->guess.kind);
    if (status == HONE_OK || status == HONE_ERR_MEMORY) return status;
    return reason(r, "what was measured cannot be read");
}

/* Who could be chosen, and what is known of them. */
static hone_status gather(routing *r) {
    const route_request *request = r->request;
    route_choice *c = r->choice;
    c->owns_listing = !request->candidates;
    if (request->candidates) c->listing = *request->candidates;
    else TRY(store_list(request->store, true, &c->listing));
    r->refused = mem_calloc(c->listing.n + 1, sizeof *r->refused);
    if (!r->refused) return mem_fail("candidates", c->listing.n);
    for (size_t i = 0; i < c->listing.n; i++) {
        r->refused[i] = c->listing.entries[i]->problem[0] != 0;
        for (size_t k = 0; k < request->n_without; k++) {
            if (strcmp(name_of(r, i), request->without[k])) continue;
            r->refused[i] = true;
            c->fallback = true;
        }
    }
    if (request->measured) return measured_copy(&c->measured, request->measured, c->listing.n);
    if (request->files) return recall(r);
    if (!request->results) return HONE_OK;
    return measured_read(&c->measured, request->results, &c->listing, c->guess.kind);
}

static hone_status choose(routing *r) {
    route_choice *c = r->choice;
    TRY(tell_kind(r));
    TRY(gather(r));
    bool chosen = false;
    TRY(choose_by_rule(r, &chosen));
    if (!chosen) TRY(choose_by_measurement(r, &chosen));
    if (!chosen) TRY(choose_by_default(r, &chosen));
    if (chosen) return HONE_OK;
    if (c->listing.n == 0)
        return fail(HONE_ERR_NOT_FOUND, "there is no model in the store; `hone pull smollm2:135m` "
                                        "fetches a small one");
    if (r->n_too_large)
        return fail(HONE_ERR_NOT_FOUND,
                    "no model in the store fits into the memory (hone plan tells "
                    "what each needs)");
    return fail(HONE_ERR_NOT_FOUND, "no model in the store is for %s%s", kind_name(c->guess.kind),
                c->guess.kind == KIND_SPEECH ? "; `hone pull whisper:base` fetches one" : "");
}

hone_status route_choose(route_choice *c, const route_request *request) {
    routing r = {.request = request, .choice = c};
    *c = (route_choice){.guess = kind_of(request->prompt, request->n),
                        .settings = {.temperature = NAN, .top_p = NAN}};
    hone_status status = choose(&r);
    mem_free(r.refused);
    return status;
}

void route_choice_release(route_choice *c) {
    for (size_t i = 0; i < c->n_reasons; i++) mem_free(c->reasons[i]);
    mem_free(c->strategy);
    mem_free(c->system);
    measured_release(&c->measured);
    if (c->owns_listing) store_listing_release(&c->listing);
    *c = (route_choice){.n_reasons = 0};
}
