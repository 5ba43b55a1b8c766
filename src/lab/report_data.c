/* A report as data: the results, and what the charts show. */
#include <math.h>
#include <string.h>

#include "lab/report.h"

static double field(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* --- results --- */

static json_t *metric_to_json(const result_metric *m) {
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:i, s:s}", "name", m->name, "condition",
                     m->condition, "unit", m->unit, "value", json_finite(m->value), "low",
                     json_finite(m->low), "high", json_finite(m->high), "n", (json_int_t)m->n,
                     "better", m->better, "items_hash", m->items_hash);
}

static json_t *subject_to_json(const result_subject *s) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "role", s->role, "name", s->name, "file",
                     s->file, "hash", s->hash, "quantisation", s->quantisation, "bytes",
                     (json_int_t)s->bytes);
}

static json_t *machine_to_json(const machine_description *m) {
    return json_pack("{s:s, s:s, s:i, s:i, s:I, s:s, s:s}", "cpu", m->cpu, "features", m->features,
                     "cores", m->n_cores, "processors", m->n_processors, "memory_bytes",
                     (json_int_t)m->memory_bytes, "kernel", m->kernel, "fingerprint",
                     m->fingerprint);
}

static json_t *reasons_to_json(const validity *v) {
    json_t *list = json_array();
    for (size_t i = 0; i < v->n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "code",
                                              validity_code_name(v->reasons[i].code), "words",
                                              v->reasons[i].words));
    }
    return list;
}

static json_t *result_to_json(const stored_result *r) {
    report_text time, subject;
    json_t *subjects = json_array(), *metrics = json_array(), *command = json_array();
    for (size_t i = 0; i < r->n_subjects; i++)
        json_array_append_new(subjects, subject_to_json(&r->subjects[i]));
    for (size_t i = 0; i < r->n_metrics; i++)
        json_array_append_new(metrics, metric_to_json(&r->metrics[i]));
    for (const char **word = r->argv; word && *word; word++)
        json_array_append_new(command, json_string(*word));
    return json_pack(
        "{s:I, s:s, s:s, s:s, s:f, s:b, s:o, s:o, s:o, s:s, s:o, s:s, s:O?, s:O?, s:o, s:I, s:I}",
        "id", (json_int_t)r->id, "kind", result_kind_name(r->kind), "label",
        report_format_subject(&subject, r), "started", report_format_time(&time, r->started_ms),
        "seconds", r->seconds, "valid", r->validity.n == 0, "reasons",
        reasons_to_json(&r->validity), "subjects", subjects, "machine",
        machine_to_json(&r->machine), "build", r->build, "command", command, "folder", r->folder,
        "settings", r->settings, "environment", r->environment, "metrics", metrics, "items",
        (json_int_t)r->n_items, "repeats", (json_int_t)r->repeats);
}

/* --- charts --- */

static bool same_model(const stored_result *a, const stored_result *b) {
    if (!a->n_subjects || !b->n_subjects) return false;
    const result_subject *x = &a->subjects[a->kind == RESULT_FIDELITY && a->n_subjects > 1];
    const result_subject *y = &b->subjects[b->kind == RESULT_FIDELITY && b->n_subjects > 1];
    return *x->hash && *y->hash ? !strcmp(x->hash, y->hash) : !strcmp(x->name, y->name);
}

static const result_metric *find_named(const stored_result *r, const char *name) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        if (!strcmp(r->metrics[i].name, name)) return &r->metrics[i];
    }
    return NULL;
}

/* What can stand for quality: a share of right answers, or the distance from the original. */
static bool is_quality(const stored_result *r, const result_metric *m) {
    bool of_items = r->kind == RESULT_EVAL && m->better != 0 && *m->condition;
    return (of_items && isfinite(m->low)) ||
           (r->kind == RESULT_FIDELITY && !strcmp(m->name, "kl_mean"));
}

static json_t *interval_point(const result_metric *x, const result_metric *y) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:i}", "x",
                     json_finite(x->value), "x_low", json_finite(x->low), "x_high",
                     json_finite(x->high), "y", json_finite(y->value), "y_low", json_finite(y->low),
                     "y_high", json_finite(y->high), "quality", y->name, "condition", y->condition,
                     "unit", y->unit, "better", y->better);
}

/* Every quality of a model beside its newest speed. */
static json_t *chart_speed_quality(const stored_result *list, size_t n) {
    json_t *points = json_array();
    for (size_t i = 0; i < n; i++) {
        const result_metric *speed = NULL;
        report_text label;
        for (size_t k = n; k-- > 0 && !speed;) {
            if (list[k].kind == RESULT_BENCH && same_model(&list[i], &list[k]))
                speed = find_named(&list[k], "decode");
        }
        for (size_t m = 0; speed && m < list[i].n_metrics; m++) {
            if (!is_quality(&list[i], &list[i].metrics[m])) continue;
            json_t *point = interval_point(speed, &list[i].metrics[m]);
            json_object_set_new(point, "label",
                                json_string(report_format_subject(&label, &list[i])));
            json_array_append_new(points, point);
        }
    }
    return points;
}

static json_t *chart_memory(const stored_result *list, size_t n) {
    json_t *bars = json_array();
    for (size_t i = 0; i < n; i++) {
        const result_metric *peak = result_find_metric(&list[i], "peak_memory", "");
        const result_metric *steady = result_find_metric(&list[i], "steady_memory", "");
        report_text label;
        if (!peak) continue;
        json_array_append_new(
            bars, json_pack("{s:s, s:I, s:o, s:o}", "label",
                            report_format_subject(&label, &list[i]), "id",
                            (json_int_t)list[i].id, "peak", json_finite(peak->value), "steady",
                            steady ? json_finite(steady->value) : json_null()));
    }
    return bars;
}

/* Rows of a benchmark's own object: detail.prefills, detail.decodes. */
static json_t *depth_points(const json_t *rows) {
    json_t *points = json_array(), *row;
    size_t i;
    json_array_foreach((json_t *)rows, i, row) {
        const json_t *spread_of_row = json_object_get(row, "spread");
        json_array_append_new(
            points, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "depth",
                              json_finite(field(row, "depth")), "tokens",
                              json_finite(field(row, "tokens")), "parallel",
                              json_finite(field(row, "parallel")), "batch",
                              json_finite(field(row, "batch")), "value",
                              json_finite(field(row, "tokens_per_s")), "low",
                              json_finite(field(spread_of_row, "low")), "high",
                              json_finite(field(spread_of_row, "high"))));
    }
    return points;
}

static json_t *chart_depth(const stored_result *list, size_t n) {
    json_t *curves = json_array();
    for (size_t i = 0; i < n; i++) {
        report_text label;
        if (list[i].kind != RESULT_BENCH) continue;
        json_array_append_new(
            curves, json_pack("{s:s, s:I, s:o, s:o}", "label",
                              report_format_subject(&label, &list[i]), "id",
                              (json_int_t)list[i].id, "prefill",
                              depth_points(json_object_get(list[i].detail, "prefills")), "decode",
                              depth_points(json_object_get(list[i].detail, "decodes"))));
    }
    return curves;
}

static void add_roof_points(json_t *points, const json_t *rows, const char *what) {
    json_t *row;
    size_t i;
    json_array_foreach((json_t *)rows, i, row) {
        json_array_append_new(points, json_pack("{s:s, s:o, s:o, s:o, s:o}", "what", what, "depth",
                                                json_finite(field(row, "depth")), "parallel",
                                                json_finite(field(row, "parallel")), "x",
                                                json_finite(field(row, "ops_per_byte")), "y",
                                                json_finite(field(row, "ops_per_s"))));
    }
}

static json_t *chart_roofline(const stored_result *list, size_t n) {
    json_t *roofs = json_array();
    for (size_t i = 0; i < n; i++) {
        const result_metric *read = result_find_metric(&list[i], "read_limit", "");
        const result_metric *compute = result_find_metric(&list[i], "arithmetic_limit", "");
        report_text label;
        if (!read || !compute) continue;
        json_t *points = json_array();
        add_roof_points(points, json_object_get(list[i].detail, "prefills"), "prefill");
        add_roof_points(points, json_object_get(list[i].detail, "decodes"), "decode");
        json_array_append_new(
            roofs, json_pack("{s:s, s:I, s:s, s:f, s:f, s:o}", "label",
                             report_format_subject(&label, &list[i]), "id", (json_int_t)list[i].id,
                             "machine", list[i].machine.fingerprint, "bytes_per_s", read->value,
                             "ops_per_s", compute->value, "points", points));
    }
    return roofs;
}

json_t *report_to_json(const stored_result *list, size_t n) {
    json_build_begin();
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(all, result_to_json(&list[i]));
    json_t *root = json_pack("{s:o, s:{s:o, s:o, s:o, s:o}}", "results", all, "charts",
                             "speed_quality", chart_speed_quality(list, n), "memory",
                             chart_memory(list, n), "depth", chart_depth(list, n), "roofline",
                             chart_roofline(list, n));
    if (json_build_end("a report") == HONE_OK) return root;
    json_decref(root);
    return NULL;
}
