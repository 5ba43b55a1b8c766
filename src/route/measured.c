/* Rows of the results database that are about the candidates, brought into comparable groups. */
#include "route/measured.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lab/machine.h"

enum { MAX_KIND_TASKS = 8, MAX_GROUPS = 256 };

/* hone's own tasks and public sets that tell something of a kind, the most telling first. */
static const char *const kind_tasks[N_KINDS][MAX_KIND_TASKS] = {
    [KIND_REASONING] = {"logic", "bbh", "bb_logical_deduction", "arc_challenge", "strategy_qa"},
    [KIND_MATHEMATICS] = {"gsm8k", "svamp", "arithmetic"},
    [KIND_CODE] = {"humaneval", "mbpp", "code", "code_c"},
    [KIND_MULTILINGUAL] = {"multilingual", "mgsm", "translation"},
    [KIND_KNOWLEDGE] = {"mmlu", "knowledge", "arc_easy", "truthfulqa_mc1", "openbookqa"},
    [KIND_STRUCTURE] = {"ifeval", "instruction"},
    [KIND_SPEECH] = {"speech"},
};

/* Results that may be compared with each other. */
typedef struct group {
    const char *task; /* of kind_tasks */
    char key[160];    /* metric, items, limit and seed */
    size_t n_candidates;
    uint64_t n;
} group;

typedef struct collection {
    measured *m;
    const store_listing *candidates;
    prompt_kind kind;
    group groups[MAX_GROUPS];
    size_t n_groups;
    size_t *group_of; /* [n_rows] */
    size_t n_rows, capacity;
} collection;

/* The candidate that a result is about: the same file by its hash, else the same name. */
static bool find_candidate(const store_listing *list, const stored_result *r, size_t *candidate) {
    const result_subject *s = r->n_subjects ? &r->subjects[0] : NULL;
    for (size_t i = 0; s && i < list->n; i++) {
        const manifest *m = &list->entries[i]->manifest;
        bool hashed = s->hash && *s->hash && m->n_files == 1 && m->files[0].sha256.text[0];
        if (hashed ? !strcmp(s->hash, m->files[0].sha256.text)
                   : s->name && !strcmp(s->name, m->name.text)) {
            *candidate = i;
            return true;
        }
    }
    return false;
}

static const char *find_task(prompt_kind kind, const char *condition) {
    if (!condition || strncmp(condition, "task=", 5)) return NULL;
    for (size_t i = 0; i < MAX_KIND_TASKS && kind_tasks[kind][i]; i++)
        if (!strcmp(condition + 5, kind_tasks[kind][i])) return kind_tasks[kind][i];
    return NULL;
}

/* The index of the metric's group, made where it is new; SIZE_MAX where there are too many. */
static size_t find_group(collection *c, const char *task, const result_metric *m,
                         const json_t *settings) {
    group made = {.task = task, .n = m->n};
    snprintf(made.key, sizeof made.key, "%.32s %.64s %lld %lld", m->name,
             m->items_hash ? m->items_hash : "",
             (long long)json_integer_value(json_object_get(settings, "limit")),
             (long long)json_integer_value(json_object_get(settings, "seed")));
    for (size_t g = 0; g < c->n_groups; g++) {
        const group *old = &c->groups[g];
        if (old->task == task && old->n == m->n && !strcmp(old->key, made.key)) return g;
    }
    if (c->n_groups == MAX_GROUPS) return SIZE_MAX;
    c->groups[c->n_groups] = made;
    return c->n_groups++;
}

/* A later row of the same candidate, strategy and group replaces an earlier one. */
static hone_status keep_row(collection *c, size_t g, const measured_row *row) {
    bool known = false;
    for (size_t i = 0; i < c->n_rows; i++) {
        measured_row *old = &c->m->rows[i];
        if (c->group_of[i] != g || old->candidate != row->candidate) continue;
        known = true;
        if (strcmp(old->strategy, row->strategy)) continue;
        *old = *row;
        return HONE_OK;
    }
    if (c->n_rows == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 32;
        measured_row *rows = mem_realloc(c->m->rows, capacity, sizeof *rows);
        if (rows) c->m->rows = rows;
        size_t *groups = mem_realloc(c->group_of, capacity, sizeof *groups);
        if (groups) c->group_of = groups;
        if (!rows || !groups) return mem_fail("measured rows", capacity * sizeof *rows);
        c->capacity = capacity;
    }
    c->groups[g].n_candidates += !known;
    c->group_of[c->n_rows] = g;
    c->m->rows[c->n_rows++] = *row;
    return HONE_OK;
}

/* The first figure of each task of the kind. */
static hone_status read_evaluation(collection *c, const stored_result *r, size_t candidate) {
    const char *strategy = json_string_value(json_object_get(r->settings, "strategy"));
    const char *before = NULL;
    if (strategy && strlen(strategy) >= sizeof ((measured_row *)0)->strategy) return HONE_OK;
    for (size_t i = 0; i < r->n_metrics; i++) {
        const result_metric *m = &r->metrics[i];
        const char *task = find_task(c->kind, m->condition);
        if (!task || task == before || m->better == 0) continue;
        before = task;
        size_t g = find_group(c, task, m, r->settings);
        if (g == SIZE_MAX) continue;
        measured_row row = {.candidate = candidate, .n = m->n, .result = r->id,
                            .quality = {m->value, m->low, m->high}};
        if (m->better < 0) row.quality = (estimate){1 - m->value, 1 - m->high, 1 - m->low};
        snprintf(row.strategy, sizeof row.strategy, "%s", strategy ? strategy : "");
        TRY(keep_row(c, g, &row));
    }
    return HONE_OK;
}

static hone_status read_evaluations(collection *c, results *db) {
    results_list list = {.n = 0};
    TRY(results_find(db, &(results_filter){.kind = "eval"}, &list));
    hone_status status = HONE_OK;
    size_t candidate;
    for (size_t i = 0; i < list.n && status == HONE_OK; i++)
        if (find_candidate(c->candidates, &list.results[i], &candidate))
            status = read_evaluation(c, &list.results[i], candidate);
    results_list_release(&list);
    return status;
}

/* One answer at a time, at the smallest depth that was measured first; the newest benchmark
 * counts. */
static hone_status read_speeds(collection *c, results *db) {
    machine_description here;
    results_list list = {.n = 0};
    TRY(machine_describe(&here));
    const results_filter filter = {.kind = "bench", .fingerprint = here.fingerprint};
    TRY(results_find(db, &filter, &list));
    for (size_t i = 0; i < list.n; i++) {
        const stored_result *r = &list.results[i];
        size_t candidate, k = 0;
        if (!find_candidate(c->candidates, r, &candidate)) continue;
        while (k < r->n_metrics && strcmp(r->metrics[k].name, "decode")) k++;
        if (k < r->n_metrics) c->m->decode[candidate] = r->metrics[k].value;
    }
    results_list_release(&list);
    return HONE_OK;
}

static int by_quality(const void *a, const void *b) {
    const measured_row *x = a, *y = b;
    if (x->quality.value != y->quality.value) return x->quality.value > y->quality.value ? -1 : 1;
    return strcmp(x->strategy, y->strategy);
}

/* Most candidates, then the more telling task, then more items. */
static size_t best_group(const collection *c) {
    size_t best = SIZE_MAX;
    for (size_t t = 0; t < MAX_KIND_TASKS; t++)
        for (size_t g = 0; g < c->n_groups; g++) {
            const group *x = &c->groups[g], *b = best == SIZE_MAX ? NULL : &c->groups[best];
            if (x->task != kind_tasks[c->kind][t]) continue;
            if (!b || x->n_candidates > b->n_candidates ||
                (x->n_candidates == b->n_candidates && x->task == b->task && x->n > b->n))
                best = g;
        }
    return best;
}

static void keep_best_group(collection *c) {
    size_t best = best_group(c), n = 0;
    if (best == SIZE_MAX) return;
    for (size_t i = 0; i < c->n_rows; i++)
        if (c->group_of[i] == best) c->m->rows[n++] = c->m->rows[i];
    c->m->n_rows = n;
    snprintf(c->m->task, sizeof c->m->task, "%s", c->groups[best].task);
    qsort(c->m->rows, n, sizeof *c->m->rows, by_quality);
}

hone_status measured_read(measured *m, results *db, const store_listing *candidates,
                          prompt_kind kind) {
    *m = (measured){.n_rows = 0};
    m->decode = mem_calloc(candidates->n + 1, sizeof *m->decode);
    collection *c = mem_calloc(1, sizeof *c);
    hone_status status = m->decode && c ? HONE_OK : mem_fail("measured rows", sizeof *c);
    if (status == HONE_OK) {
        *c = (collection){.m = m, .candidates = candidates, .kind = kind};
        status = read_evaluations(c, db);
    }
    if (status == HONE_OK) status = read_speeds(c, db);
    if (status == HONE_OK) keep_best_group(c);
    if (c) mem_free(c->group_of);
    mem_free(c);
    return status;
}

hone_status measured_copy(measured *m, const measured *from, size_t n_candidates) {
    *m = *from;
    m->rows = mem_calloc(from->n_rows + 1, sizeof *m->rows);
    m->decode = mem_calloc(n_candidates + 1, sizeof *m->decode);
    if (!m->rows || !m->decode) return mem_fail("measured rows", from->n_rows * sizeof *m->rows);
    if (from->n_rows) memcpy(m->rows, from->rows, from->n_rows * sizeof *m->rows);
    if (from->decode) memcpy(m->decode, from->decode, n_candidates * sizeof *m->decode);
    return HONE_OK;
}

size_t measured_task_rank(prompt_kind kind, const char *task) {
    for (size_t i = 0; i < MAX_KIND_TASKS && kind_tasks[kind][i]; i++)
        if (!strcmp(kind_tasks[kind][i], task)) return i;
    return SIZE_MAX;
}

void measured_release(measured *m) {
    mem_free(m->rows);
    mem_free(m->decode);
    *m = (measured){.n_rows = 0};
}
