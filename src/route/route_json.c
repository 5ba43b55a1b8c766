/* A choice as JSON (route/route.h). */
#include <math.h>

#include "route/route.h"

static json_t *settings_json(const route_settings *s) {
    json_t *object = json_object();
    if (!isnan(s->temperature))
        json_object_set_new(object, "temperature", json_real(s->temperature));
    if (!isnan(s->top_p)) json_object_set_new(object, "top_p", json_real(s->top_p));
    if (s->max_tokens)
        json_object_set_new(object, "max_tokens", json_integer((json_int_t)s->max_tokens));
    return object;
}

static json_t *kind_json(const kind_guess *g) {
    json_t *signs = json_array(), *probabilities = json_object();
    size_t n_right, n;
    estimate accuracy = kind_accuracy(&n_right, &n);
    for (size_t i = 0; i < g->n_signs; i++)
        json_array_append_new(signs, json_pack("{s:s, s:f}", "feature", g->signs[i].feature,
                                               "weight", g->signs[i].weight));
    for (int k = 0; k < N_KINDS; k++)
        json_object_set_new(probabilities, kind_name((prompt_kind)k),
                            json_real(g->probabilities[k]));
    return json_pack("{s:s, s:o, s:o, s:{s:f, s:f, s:f, s:I}}", "kind", kind_name(g->kind),
                     "probabilities", probabilities, "signs", signs, "accuracy", "value",
                     accuracy.value, "low", accuracy.low, "high", accuracy.high, "n",
                     (json_int_t)n);
}

static json_t *rows_json(const route_choice *c) {
    const measured *m = &c->measured;
    json_t *rows = json_array();
    for (size_t i = 0; i < m->n_rows; i++) {
        const measured_row *r = &m->rows[i];
        double decode = m->decode[r->candidate];
        json_array_append_new(
            rows, json_pack("{s:s, s:s?, s:s, s:f, s:f, s:f, s:I, s:o, s:I}", "model",
                            c->listing.entries[r->candidate]->manifest.name.text, "strategy",
                            r->strategy[0] ? r->strategy : NULL, "task", m->task, "value",
                            r->quality.value, "low", r->quality.low, "high", r->quality.high, "n",
                            (json_int_t)r->n, "decode_tokens_per_s",
                            decode > 0 ? json_real(decode) : json_null(), "result",
                            (json_int_t)r->result));
    }
    return rows;
}

/* File names need not be UTF-8. */
static json_t *sentence(const char *text) {
    json_t *string = json_string(text);
    return string ? string : json_string("(a reason that is not valid UTF-8)");
}

json_t *route_choice_to_json(const route_choice *c, route_priority priority) {
    json_t *reasons = json_array();
    for (size_t i = 0; i < c->n_reasons; i++)
        json_array_append_new(reasons, sentence(c->reasons[i]));
    return json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:o, s:s, s:b, s:s, s:o, s:o}", "model", c->model,
                     "quantisation", c->quantisation, "strategy", c->strategy, "system", c->system,
                     "settings", settings_json(&c->settings), "reasons", reasons, "basis",
                     route_basis_name(c->basis), "fallback", (int)c->fallback, "priority",
                     route_priority_name(priority), "task", kind_json(&c->guess), "rows",
                     rows_json(c));
}
