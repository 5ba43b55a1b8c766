#include "lab/measured.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"

/* One answer at a time, whatever its depth and length. */
static bool is_single_decode(const result_metric *m) {
    if (strcmp(m->name, "decode") != 0) return false;
    return strstr(m->condition, "parallel=1 ") || !strcmp(m->condition, "settings=baseline");
}

static void take(measured_figure *figure, const result_metric *m, int64_t id) {
    *figure = (measured_figure){{m->value, m->low, m->high}, id};
}

/* The newest comes last and takes the others' place; in a result the first metric that fits
 * counts. */
static void take_all(measured *out, const stored_result *r, const char *condition) {
    bool decode = false, score = false;
    for (size_t i = 0; i < r->n_metrics; i++) {
        const result_metric *m = &r->metrics[i];
        if (!decode && is_single_decode(m)) {
            take(&out->decode, m, r->id);
            decode = true;
        } else if (!score && condition && r->kind == RESULT_EVAL &&
                   !strcmp(m->condition, condition)) {
            take(&out->score, m, r->id);
            score = true;
        }
    }
}

hone_status measured_find(measured *out, results *db, const char *fingerprint, const char *path,
                          const char *task) {
    char hash[65], condition[256];
    results_list list;
    results_filter filter = {.model = path, .fingerprint = fingerprint};
    *out = (measured){.decode.result = 0};
    TRY(results_find(db, &filter, &list));
    bool is_known = list.n > 0;
    results_list_release(&list);
    if (!is_known) return HONE_OK;
    TRY(results_hash(db, path, hash, NULL, NULL));
    filter.model = hash;
    TRY(results_find(db, &filter, &list));
    if (task) snprintf(condition, sizeof condition, "task=%.240s", task);
    for (size_t i = 0; i < list.n; i++)
        if (list.results[i].n_subjects == 1)
            take_all(out, &list.results[i], task ? condition : NULL);
    results_list_release(&list);
    return HONE_OK;
}

hone_status measured_read_limit(double *out, results *db, const char *fingerprint) {
    results_list list;
    const results_filter filter = {.kind = result_kind_name(RESULT_BENCH),
                                   .fingerprint = fingerprint};
    *out = 0;
    TRY(results_find(db, &filter, &list));
    for (size_t i = 0; i < list.n; i++) {
        const result_metric *m = result_find_metric(&list.results[i], "read_limit", "");
        if (m) *out = m->value;
    }
    results_list_release(&list);
    return HONE_OK;
}
