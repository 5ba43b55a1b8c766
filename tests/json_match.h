/* Whether a JSON value can be written as a grammar wants it: its texts are tried member by member,
 * in every order of an object's members. Numbers are written in plain decimals, strings with the
 * escapes that JSON asks for, without white space. */
#ifndef TESTS_JSON_MATCH_H
#define TESTS_JSON_MATCH_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/grammar_machine.h"

/* States after any of the texts so far. */
typedef struct match_states {
    uint32_t at[64];
    int n;
} match_states;

static inline void match_add(match_states *s, uint32_t state) {
    for (int i = 0; i < s->n; i++)
        if (s->at[i] == state) return;
    if (state != GRAMMAR_DEAD && s->n < 64) s->at[s->n++] = state;
}

static inline uint32_t match_bytes(grammar_machine *m, uint32_t state, const char *text, size_t n) {
    for (size_t i = 0; i < n && state != GRAMMAR_DEAD; i++)
        if (grammar_machine_step(m, state, (uint8_t)text[i], &state) != HONE_OK)
            return GRAMMAR_DEAD;
    return state;
}

static inline uint32_t match_string(grammar_machine *m, uint32_t state, const char *text,
                                    size_t n) {
    state = match_bytes(m, state, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        static const char letters[] = "btn\0fr";
        unsigned char c = (unsigned char)text[i];
        char escape[8] = {(char)c};
        if (c == '"' || c == '\\') snprintf(escape, sizeof escape, "\\%c", c);
        else if (c >= 8 && c <= 13 && c != 11)
            snprintf(escape, sizeof escape, "\\%c", letters[c - 8]);
        else if (c < 32) snprintf(escape, sizeof escape, "\\u%04x", c);
        state = match_bytes(m, state, escape, c ? strlen(escape) : 1);
    }
    return match_bytes(m, state, "\"", 1);
}

static inline uint32_t match_number(grammar_machine *m, uint32_t state, const json_t *value) {
    char text[512];
    if (json_is_integer(value)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    } else {
        double v = json_real_value(value);
        for (int digits = 0; digits < 20; digits++) {
            snprintf(text, sizeof text, "%.*f", digits, v);
            if (strtod(text, NULL) == v) break;
        }
    }
    return match_bytes(m, state, text, strlen(text));
}

static inline match_states match_value(grammar_machine *m, uint32_t state, json_t *value);

static inline void match_members(grammar_machine *m, uint32_t state, json_t *object, unsigned used,
                                 match_states *out) {
    const char *name;
    json_t *value;
    unsigned bit = 1;
    if (state == GRAMMAR_DEAD) return;
    if (used == (1u << json_object_size(object)) - 1) match_add(out, match_bytes(m, state, "}", 1));
    json_object_foreach(object, name, value) {
        if (!(used & bit)) {
            uint32_t at = used ? match_bytes(m, state, ",", 1) : state;
            at = match_bytes(m, match_string(m, at, name, strlen(name)), ":", 1);
            match_states ends = match_value(m, at, value);
            for (int i = 0; i < ends.n; i++) match_members(m, ends.at[i], object, used | bit, out);
        }
        bit <<= 1;
    }
}

static inline match_states match_value(grammar_machine *m, uint32_t state, json_t *value) {
    match_states out = {.n = 0};
    if (state == GRAMMAR_DEAD) return out;
    if (json_is_object(value)) {
        match_members(m, match_bytes(m, state, "{", 1), value, 0, &out);
    } else if (json_is_array(value)) {
        match_add(&out, match_bytes(m, state, "[", 1));
        for (size_t i = 0; i < json_array_size(value); i++) {
            match_states before = out;
            out.n = 0;
            for (int k = 0; k < before.n; k++) {
                uint32_t at = i ? match_bytes(m, before.at[k], ",", 1) : before.at[k];
                match_states ends = match_value(m, at, json_array_get(value, i));
                for (int j = 0; j < ends.n; j++) match_add(&out, ends.at[j]);
            }
        }
        match_states before = out;
        out.n = 0;
        for (int k = 0; k < before.n; k++) match_add(&out, match_bytes(m, before.at[k], "]", 1));
    } else if (json_is_string(value)) {
        match_add(&out,
                  match_string(m, state, json_string_value(value), json_string_length(value)));
    } else if (json_is_number(value)) {
        match_add(&out, match_number(m, state, value));
    } else {
        const char *text = json_is_null(value) ? "null" : json_is_true(value) ? "true" : "false";
        match_add(&out, match_bytes(m, state, text, strlen(text)));
    }
    return out;
}

static inline bool match_json(grammar_machine *m, json_t *value) {
    match_states ends = match_value(m, grammar_machine_start(m), value);
    for (int i = 0; i < ends.n; i++)
        if (grammar_machine_accepts(m, ends.at[i])) return true;
    return false;
}

#endif
