#include "infer/sampler.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"
#include "infer/candidates.h"

/* Below this a temperature is 0: dividing by it would only make infinities. */
static const float LEAST_TEMPERATURE = 1e-5f;

struct sampler {
    hone_sampling parameters; /* biases point to our copy */
    hone_logit_bias *biases;
    candidates kept;
    uint32_t *counts; /* [n_vocab], all zero between two draws */
};

hone_sampling hone_sampling_greedy(void) {
    return (hone_sampling){.top_p = 1, .typical_p = 1, .repetition_penalty = 1};
}

double sampler_uniform(uint64_t seed, uint32_t step, uint32_t use, uint32_t sequence) {
    philox_block block = philox4x32((philox_block){{step, use, sequence, 0}}, seed);
    return (block.word[0] >> 8) * 0x1p-24;
}

/* --- parameters --- */

static hone_status check_range(const char *name, float value, float low, float high) {
    if (value >= low && value <= high) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s: %g, expected %g to %g", name, (double)value, (double)low,
                (double)high);
}

static hone_status check_biases(const hone_sampling *p, size_t n_vocab) {
    if (p->n_biases > n_vocab)
        return fail(HONE_ERR_ARGUMENT, "logit bias: %zu entries for %zu tokens", p->n_biases,
                    n_vocab);
    for (size_t i = 0; i < p->n_biases; i++) {
        int32_t token = p->biases[i].token;
        if (token < 0 || (size_t)token >= n_vocab)
            return fail(HONE_ERR_ARGUMENT, "logit bias: token %d, expected 0 to %zu", (int)token,
                        n_vocab - 1);
        TRY(check_range("logit bias", p->biases[i].bias, -100, 100));
    }
    return HONE_OK;
}

static hone_status check_parameters(const hone_sampling *p, size_t n_vocab) {
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return fail(HONE_ERR_ARGUMENT, "vocabulary of %zu tokens", n_vocab);
    if (!(p->temperature >= 0) || isinf(p->temperature))
        return fail(HONE_ERR_ARGUMENT, "temperature: %g, expected 0 or more",
                    (double)p->temperature);
    if (!(p->repetition_penalty > 0) || isinf(p->repetition_penalty))
        return fail(HONE_ERR_ARGUMENT, "repetition_penalty: %g, expected more than 0",
                    (double)p->repetition_penalty);
    if (p->repeat_last_n < -1)
        return fail(HONE_ERR_ARGUMENT, "repeat_last_n: %d, expected -1 or more",
                    (int)p->repeat_last_n);
    TRY(check_range("top_p", p->top_p, 0, 1));
    TRY(check_range("min_p", p->min_p, 0, 1));
    TRY(check_range("typical_p", p->typical_p, 0, 1));
    TRY(check_range("frequency_penalty", p->frequency_penalty, -2, 2));
    TRY(check_range("presence_penalty", p->presence_penalty, -2, 2));
    return check_biases(p, n_vocab);
}

static hone_status copy_biases(sampler *s, const hone_sampling *from) {
    size_t bytes = from->n_biases * sizeof *s->biases; /* at most one per token: fits */
    s->biases = mem_alloc(bytes);
    if (!s->biases) return mem_fail("logit bias", bytes);
    if (bytes) memcpy(s->biases, from->biases, bytes);
    s->parameters.biases = s->biases;
    return HONE_OK;
}

hone_status sampler_open(sampler **out, const hone_sampling *parameters, size_t n_vocab) {
    TRY(check_parameters(parameters, n_vocab));
    sampler *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("the sampler", sizeof *s);
    s->parameters = *parameters;
    hone_status status = copy_biases(s, parameters);
    if (status == HONE_OK) status = candidates_init(&s->kept, n_vocab);
    if (status == HONE_OK && !(s->counts = mem_calloc(n_vocab, sizeof *s->counts)))
        status = mem_fail("the sampler", n_vocab * sizeof *s->counts);
    if (status != HONE_OK) {
        sampler_close(s);
        return status;
    }
    *out = s;
    return HONE_OK;
}

size_t sampler_bytes(size_t n_vocab) {
    const sampler s = {0};
    return sizeof s + n_vocab * (sizeof *s.kept.logits + sizeof *s.kept.best +
                                 sizeof *s.kept.scratch + sizeof *s.counts);
}

void sampler_close(sampler *s) {
    if (!s) return;
    candidates_release(&s->kept);
    mem_free(s->counts);
    mem_free(s->biases);
    mem_free(s);
}

/* --- mask, penalties, bias --- */

static bool copy_finding_nan(float *to, const float *from, size_t n) {
    size_t i = 0;
    int nan[CANDIDATE_BLOCK] = {0};
    for (; i + CANDIDATE_BLOCK <= n; i += CANDIDATE_BLOCK) {
        for (size_t j = 0; j < CANDIDATE_BLOCK; j++) {
            to[i + j] = from[i + j];
            nan[j] |= from[i + j] != from[i + j];
        }
    }
    for (; i < n; i++) {
        to[i] = from[i];
        nan[0] |= from[i] != from[i];
    }
    int any = 0;
    for (size_t j = 0; j < CANDIDATE_BLOCK; j++) any |= nan[j];
    return any;
}

static void apply_mask(float *logits, size_t n_vocab, const uint64_t *mask) {
    for (size_t begin = 0; begin < n_vocab; begin += 64) {
        uint64_t allowed = mask[begin / 64];
        if (allowed == UINT64_MAX) continue;
        size_t n = n_vocab - begin < 64 ? n_vocab - begin : 64;
        for (size_t j = 0; j < n; j++)
            if (!(allowed >> j & 1)) logits[begin + j] = -INFINITY;
    }
}

/* Ids that are no tokens of the vocabulary (an image's place in the prompt) count for nothing. */
static bool in_vocabulary(const sampler *s, int32_t token) {
    return token >= 0 && (size_t)token < s->kept.n_vocab;
}

/* Keskar et al. 2019, with the sign rule of transformers; once for each distinct token. */
static void apply_repetition(sampler *s, const int32_t *window, size_t n) {
    float penalty = s->parameters.repetition_penalty;
    for (size_t i = 0; i < n; i++) {
        if (!in_vocabulary(s, window[i]) || s->counts[window[i]]) continue;
        s->counts[window[i]] = 1;
        float *logit = &s->kept.logits[window[i]];
        *logit = *logit > 0 ? *logit / penalty : *logit * penalty;
    }
    for (size_t i = 0; i < n; i++)
        if (in_vocabulary(s, window[i])) s->counts[window[i]] = 0;
}

static void apply_frequency(sampler *s, const int32_t *generated, size_t n) {
    double frequency = s->parameters.frequency_penalty, presence = s->parameters.presence_penalty;
    for (size_t i = 0; i < n; i++)
        if (in_vocabulary(s, generated[i])) s->counts[generated[i]]++;
    for (size_t i = 0; i < n; i++) {
        if (!in_vocabulary(s, generated[i]) || !s->counts[generated[i]]) continue;
        float *logit = &s->kept.logits[generated[i]];
        *logit = (float)(*logit - frequency * s->counts[generated[i]] - presence);
        s->counts[generated[i]] = 0;
    }
}

static void apply_penalties(sampler *s, const sampler_place *place) {
    const hone_sampling *p = &s->parameters;
    size_t n_window = place->n_history;
    if (p->repeat_last_n >= 0 && (size_t)p->repeat_last_n < n_window)
        n_window = (size_t)p->repeat_last_n;
    const int32_t *end = place->history + place->n_history;
    if (p->repetition_penalty != 1 && n_window) apply_repetition(s, end - n_window, n_window);
    if ((p->frequency_penalty != 0 || p->presence_penalty != 0) && place->n_generated)
        apply_frequency(s, end - place->n_generated, place->n_generated);
}

static hone_status nan_error(const float *logits) {
    size_t i = 0;
    while (logits[i] == logits[i]) i++;
    return fail(HONE_ERR_NUMERIC, "the logit of token %zu is NaN", i);
}

/* Everything that changes single logits; then all that is above −∞ is kept. */
static hone_status prepare(sampler *s, const float *logits, const sampler_place *place) {
    assert(place->n_generated <= place->n_history);
    candidates *c = &s->kept;
    if (copy_finding_nan(c->logits, logits, c->n_vocab)) return nan_error(logits);
    if (place->mask) apply_mask(c->logits, c->n_vocab, place->mask);
    if (place->n_history) apply_penalties(s, place);
    for (size_t i = 0; i < s->parameters.n_biases; i++)
        c->logits[s->biases[i].token] += s->biases[i].bias;
    candidates_reset(c);
    if (c->n_all == 0) return fail(HONE_ERR_NUMERIC, "no token is left to choose from");
    if (isinf(c->max))
        return fail(HONE_ERR_NUMERIC, "the logit of token %d is infinite",
                    (int)candidates_first(c));
    return HONE_OK;
}

/* --- filters and draw --- */

static bool is_greedy(const sampler *s) { return s->parameters.temperature < LEAST_TEMPERATURE; }

static void apply_filters(sampler *s) {
    const hone_sampling *p = &s->parameters;
    candidates *c = &s->kept;
    double temperature = p->temperature_first ? p->temperature : 1;
    if (p->top_k > 0) candidates_keep_top_k(c, (size_t)p->top_k);
    if (p->typical_p < 1) candidates_keep_typical(c, p->typical_p, temperature);
    if (p->top_p < 1) candidates_keep_top_p(c, p->top_p, temperature);
    if (p->min_p > 0) candidates_keep_min_p(c, p->min_p, temperature);
}

hone_status sampler_pick(sampler *s, const float *logits, const sampler_place *place,
                         int32_t *token) {
    TRY(prepare(s, logits, place));
    if (is_greedy(s)) {
        *token = candidates_first(&s->kept);
        return HONE_OK;
    }
    apply_filters(s);
    double u = sampler_uniform(s->parameters.seed, place->step, DRAW_TOKEN, place->sequence);
    *token = candidates_draw(&s->kept, u, s->parameters.temperature);
    return HONE_OK;
}

hone_status sampler_distribution(sampler *s, const float *logits, const sampler_place *place,
                                 float *p) {
    TRY(prepare(s, logits, place));
    candidates *c = &s->kept;
    memset(p, 0, c->n_vocab * sizeof *p);
    if (is_greedy(s)) {
        p[candidates_first(c)] = 1;
        return HONE_OK;
    }
    apply_filters(s);
    double temperature = s->parameters.temperature, total = candidates_total(c, temperature);
    if (c->n_kept == c->n_all) {
        for (size_t i = 0; i < c->n_vocab; i++)
            p[i] = (float)(candidates_weight(c, c->logits[i], temperature) / total);
        return HONE_OK;
    }
    for (size_t i = 0; i < c->n_kept; i++) {
        const candidate *each = candidates_at(c, i);
        p[each->id] = (float)(candidates_weight(c, each->logit, temperature) / total);
    }
    return HONE_OK;
}
