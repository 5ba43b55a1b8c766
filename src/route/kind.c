/* The kind of a prompt: its features looked up in a table, their weights added. */
#include "route/kind.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { MAX_FEATURE_BYTES = 128, LEAST_GRAM = 3, MOST_GRAM = 4 };

typedef struct kind_feature {
    const char *text;
    int8_t weights[N_KINDS]; /* in 1/KIND_UNIT */
} kind_feature;

#include "route/kind_table.inc"

enum { N_FEATURES = sizeof kind_features / sizeof *kind_features };

static const char *const names[N_KINDS] = {"reasoning", "mathematics", "code",
                                           "multilingual", "knowledge", "creative",
                                           "structure", "image", "speech"};

const char *kind_name(prompt_kind kind) { return names[kind]; }

bool kind_find(const char *name, prompt_kind *kind) {
    for (int k = 0; k < N_KINDS; k++)
        if (!strcmp(name, names[k])) {
            *kind = (prompt_kind)k;
            return true;
        }
    return false;
}

/* --- features --- */

/* The text as features see it, and which of them were there. */
typedef struct reading {
    char text[KIND_MAX_BYTES]; /* ASCII in lower case; what parts words is a space */
    size_t n;
    bool seen[N_FEATURES];
} reading;

static int compare_feature(const void *key, const void *feature) {
    return strcmp(key, ((const kind_feature *)feature)->text);
}

static void look_up(reading *r, const char *text) {
    const kind_feature *found = bsearch(text, kind_features, N_FEATURES, sizeof *kind_features,
                                        compare_feature);
    if (found) r->seen[found - kind_features] = true;
}

/* The pieces parts[n] as one feature; what is longer than any in the table is none. */
static void look_up_joined(reading *r, const char *const *parts, const size_t *lengths, size_t n) {
    char text[MAX_FEATURE_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] >= sizeof text - used) return;
        memcpy(text + used, parts[i], lengths[i]);
        used += lengths[i];
    }
    text[used] = '\0';
    look_up(r, text);
}

static bool is_ascii_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'';
}

/* Folds the text, and marks what single characters tell. */
static void read_characters(reading *r, const char *text, size_t n) {
    if (n > KIND_MAX_BYTES) n = utf8_complete_prefix(text, KIND_MAX_BYTES);
    for (size_t at = 0, length; at < n; at += length) {
        uint32_t code;
        length = utf8_decode(text + at, n - at, &code);
        if (code < 0x80) {
            char c = text[at] >= 'A' && text[at] <= 'Z' ? (char)(text[at] + 32) : text[at];
            if (c && strchr("{}()[]<>=+*/^%;_\"|#`$:", c)) look_up(r, (char[]){c, '\0'});
            r->text[r->n++] = is_ascii_word(c) ? c : ' ';
            continue;
        }
        if (code == UTF8_INVALID) {
            r->text[r->n++] = ' ';
            continue;
        }
        if (code >= 0xC0 && code < 0x250 && code != 0xD7 && code != 0xF7) look_up(r, "<accented>");
        else if ((code >= 0x370 && code < 0x2000) || code >= 0x2C00) look_up(r, "<script>");
        memcpy(r->text + r->n, text + at, length);
        r->n += length;
    }
}

/* The 3- and 4-grams of a word's characters, its edges being characters as well. */
static void read_grams(reading *r, const char *word, size_t n) {
    char edged[KIND_MAX_BYTES + 2];
    uint16_t starts[KIND_MAX_BYTES + 3];
    size_t n_characters = 0;
    edged[0] = edged[n + 1] = '_';
    memcpy(edged + 1, word, n);
    for (size_t at = 0; at < n + 2; at++)
        if (((unsigned char)edged[at] & 0xc0) != 0x80) starts[n_characters++] = (uint16_t)at;
    starts[n_characters] = (uint16_t)(n + 2);
    for (size_t size = LEAST_GRAM; size <= MOST_GRAM; size++)
        for (size_t i = 0; i + size <= n_characters; i++)
            look_up_joined(r, (const char *const[]){"~", edged + starts[i]},
                           (const size_t[]){1, (size_t)(starts[i + size] - starts[i])}, 2);
}

static void read_words(reading *r) {
    static const char number[] = "<number>";
    const char *before = NULL;
    size_t before_bytes = 0;
    for (size_t at = 0; at < r->n;) {
        if (r->text[at] == ' ') {
            at++;
            continue;
        }
        const char *word = r->text + at;
        size_t n = 0, n_digits = 0;
        for (; at + n < r->n && word[n] != ' '; n++) n_digits += word[n] >= '0' && word[n] <= '9';
        at += n;
        if (n_digits < n) read_grams(r, word, n);
        else word = number, n = sizeof number - 1;
        look_up_joined(r, &word, &n, 1);
        if (before)
            look_up_joined(r, (const char *const[]){before, " ", word},
                           (const size_t[]){before_bytes, 1, n}, 3);
        before = word;
        before_bytes = n;
    }
}

/* --- the decision --- */

static double weight_for(const kind_feature *f, prompt_kind kind) {
    double sum = 0;
    for (int k = 0; k < N_KINDS; k++) sum += f->weights[k];
    return (f->weights[kind] - sum / N_KINDS) / KIND_UNIT;
}

/* Keeps the strongest signs, strongest first. */
static void add_sign(kind_guess *g, kind_sign sign) {
    size_t at = g->n_signs;
    while (at > 0 && g->signs[at - 1].weight < sign.weight) at--;
    if (at == KIND_MAX_SIGNS) return;
    if (g->n_signs < KIND_MAX_SIGNS) g->n_signs++;
    memmove(&g->signs[at + 1], &g->signs[at], (g->n_signs - at - 1) * sizeof sign);
    g->signs[at] = sign;
}

kind_guess kind_of(const char *text, size_t n) {
    reading r = {.n = 0};
    kind_guess g = {.kind = KIND_REASONING};
    read_characters(&r, text, n);
    read_words(&r);
    double logits[N_KINDS] = {0}, sum = 0;
    size_t n_seen = 0;
    for (size_t f = 0; f < N_FEATURES; f++) {
        n_seen += r.seen[f];
        for (int k = 0; k < N_KINDS && r.seen[f]; k++) logits[k] += kind_features[f].weights[k];
    }
    double scale = 1 / (KIND_UNIT * sqrt(n_seen ? (double)n_seen : 1));
    for (int k = 0; k < N_KINDS; k++) {
        if (logits[k] > logits[g.kind]) g.kind = (prompt_kind)k;
        g.probabilities[k] = exp(scale * logits[k]);
        sum += g.probabilities[k];
    }
    for (int k = 0; k < N_KINDS; k++) g.probabilities[k] /= sum;
    for (size_t f = 0; f < N_FEATURES; f++) {
        double weight = r.seen[f] ? scale * KIND_UNIT * weight_for(&kind_features[f], g.kind) : 0;
        if (weight > 0) add_sign(&g, (kind_sign){kind_features[f].text, weight});
    }
    return g;
}

estimate kind_accuracy(size_t *n_right, size_t *n_prompts) {
    *n_right = HELD_OUT_RIGHT;
    *n_prompts = HELD_OUT_PROMPTS;
    return stats_wilson(HELD_OUT_RIGHT, HELD_OUT_PROMPTS);
}
