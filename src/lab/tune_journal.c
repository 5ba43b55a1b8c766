#include "lab/tune_journal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/strmap.h"

#define RUNS "run"
#define NUMBERS "number"

enum { MAX_KEY = TUNE_MAX_LINE + 48 };

typedef struct entry {
    char *key;
    double values[RACE_MAX_VALUES];
    double cost_ms;
} entry;

struct tune_journal {
    tune_meter inner;
    results *db;
    int64_t id;
    entry *entries;
    size_t n_entries;
    strmap index;
    bool has_index;
    fs_lock lock;
    double credit_ms; /* of the runs that were given again */
};

/* --- an earlier attempt --- */

/* Held while somebody works on that result: it ends with its process, however that ends. */
static hone_status lock_path(fs_path *path, const results *db, int64_t id) {
    return fs_path_format(path, "%s.tune-%lld.lock", results_path(db), (long long)id);
}

static bool is_worked_on(const results *db, int64_t id) {
    fs_path path;
    return lock_path(&path, db, id) != HONE_OK || fs_is_locked(path.text);
}

static bool same_subjects(const stored_result *r, const result_subject *subjects, size_t n) {
    if (r->n_subjects != n) return false;
    for (size_t i = 0; i < n; i++)
        if (!subjects[i].hash || !r->subjects[i].hash ||
            strcmp(r->subjects[i].hash, subjects[i].hash) != 0)
            return false;
    return true;
}

hone_status tune_journal_find(results *db, json_t *settings, const result_subject *subjects,
                              size_t n_subjects, int64_t *id) {
    machine_description machine;
    results_list list;
    char build[RESULTS_MAX_BUILD];
    *id = 0;
    TRY(machine_describe(&machine));
    results_describe_build(build, sizeof build);
    const results_filter filter = {.kind = result_kind_name(RESULT_TUNE),
                                   .fingerprint = machine.fingerprint, .wanted = RESULTS_INVALID};
    TRY(results_find(db, &filter, &list));
    for (size_t i = 0; i < list.n; i++) {
        const stored_result *r = &list.results[i];
        if (!r->finished && !is_worked_on(db, r->id) && !strcmp(r->build, build) &&
            same_subjects(r, subjects, n_subjects) && json_equal(r->settings, settings))
            *id = r->id;
    }
    results_list_release(&list);
    return HONE_OK;
}

/* --- reading --- */

static void make_key(char key[MAX_KEY], const tune_config *c, tune_place place) {
    char line[TUNE_MAX_LINE];
    tune_config_line(line, c);
    snprintf(key, MAX_KEY, "%02zu/%04zu/%s", place.race, place.round, line);
}

static entry *add_entry(tune_journal *j, const char *key) {
    entry *grown = mem_realloc(j->entries, j->n_entries + 1, sizeof *grown);
    if (!grown) return NULL;
    j->entries = grown;
    entry *e = &grown[j->n_entries];
    *e = (entry){.key = mem_copy_string(key, strlen(key))};
    if (e->key) j->n_entries++;
    return e->key ? e : NULL;
}

static hone_status take_item(void *context, const result_item *item) {
    tune_journal *j = context;
    size_t i;
    json_t *value;
    const bool is_run = !strcmp(item->task, RUNS);
    const json_t *values = json_object_get(item->scores, "values");
    if (is_run && json_array_size(values) != j->inner.n_values) return HONE_OK;
    entry *e = add_entry(j, item->id);
    if (!e) return mem_fail("what was measured before", 0);
    e->values[0] = item->score;
    json_array_foreach(is_run ? values : NULL, i, value) e->values[i] = json_number_value(value);
    e->cost_ms = json_number_value(json_object_get(item->scores, "ms"));
    return HONE_OK;
}

static hone_status take_lock(tune_journal *j) {
    fs_path path;
    TRY(lock_path(&path, j->db, j->id));
    return fs_lock_take(&j->lock, path.text, NULL, NULL);
}

hone_status tune_journal_open(tune_journal **out, const tune_meter *inner, results *db,
                              int64_t id) {
    tune_journal *j = mem_calloc(1, sizeof *j);
    if (!j) return mem_fail("notes", sizeof *j);
    *j = (tune_journal){.inner = *inner, .db = db, .id = id, .lock = {.fd = -1}};
    hone_status status = db ? take_lock(j) : HONE_OK;
    if (status == HONE_OK && db) status = results_each_item(db, id, take_item, j);
    if (status == HONE_OK) status = strmap_init(&j->index, j->n_entries);
    j->has_index = status == HONE_OK;
    for (size_t i = 0; i < j->n_entries && status == HONE_OK; i++)
        status = strmap_insert(&j->index, j->entries[i].key, strlen(j->entries[i].key),
                               (uint32_t)i, NULL);
    if (status != HONE_OK) {
        tune_journal_close(j);
        return status;
    }
    *out = j;
    return HONE_OK;
}

void tune_journal_close(tune_journal *j) {
    if (!j) return;
    if (j->lock.fd >= 0) fs_lock_release(&j->lock, true);
    if (j->has_index) strmap_release(&j->index);
    for (size_t i = 0; i < j->n_entries; i++) mem_free(j->entries[i].key);
    mem_free(j->entries);
    mem_free(j);
}

static const entry *find_entry(const tune_journal *j, const char *key) {
    uint32_t i;
    return strmap_find(&j->index, key, strlen(key), &i) ? &j->entries[i] : NULL;
}

size_t tune_journal_n_known(const tune_journal *j) { return j->n_entries; }

double tune_journal_number(const tune_journal *j, const char *name) {
    const entry *e = find_entry(j, name);
    return e ? e->values[0] : NAN;
}

/* --- writing --- */

static hone_status keep(tune_journal *j, const char *task, const char *key, const double *values,
                        size_t n, double ms) {
    if (!j->db) return HONE_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_real(values[i]));
    json_t *scores = json_pack("{s:o, s:f}", "values", list, "ms", ms);
    const result_item item = {.task = task, .id = key, .score = values[0], .scores = scores};
    hone_status status = scores ? results_add_items(j->db, j->id, &item, 1) : mem_fail("notes", 0);
    json_decref(scores);
    return status;
}

hone_status tune_journal_keep_number(tune_journal *j, const char *name, double value) {
    return keep(j, NUMBERS, name, &value, 1, 0);
}

/* --- the meter --- */

static double clock_of(void *context) {
    const tune_journal *j = context;
    return j->inner.clock(j->inner.context) + j->credit_ms;
}

static hone_status measure(void *context, const tune_config *c, tune_place place, double *values) {
    tune_journal *j = context;
    char key[MAX_KEY];
    make_key(key, c, place);
    const entry *e = find_entry(j, key);
    if (e) {
        memcpy(values, e->values, j->inner.n_values * sizeof *values);
        j->credit_ms += e->cost_ms;
        return HONE_OK;
    }
    double before = clock_of(j);
    TRY(j->inner.measure(j->inner.context, c, place, values));
    return keep(j, RUNS, key, values, j->inner.n_values, clock_of(j) - before);
}

static hone_status allow(void *context, const tune_config *c, bool *allowed, char why[96]) {
    const tune_journal *j = context;
    *allowed = true;
    return j->inner.allow ? j->inner.allow(j->inner.context, c, allowed, why) : HONE_OK;
}

tune_meter tune_journal_meter(tune_journal *j) {
    tune_meter m = j->inner;
    m.context = j;
    m.measure = measure;
    m.clock = clock_of;
    m.allow = allow;
    return m;
}
