/* Reading results back. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lab/results_int.h"

/* --- what a result owns --- */

static hone_status own(stored_result *out, void *memory, const char *what) {
    void **owned = memory ? mem_realloc(out->owned, out->n_owned + 1, sizeof *owned) : NULL;
    if (!owned) {
        mem_free(memory);
        return mem_fail(what, out->n_owned * sizeof *owned);
    }
    out->owned = owned;
    owned[out->n_owned++] = memory;
    return HONE_OK;
}

/* A copy of the row's text; "" for NULL. */
static hone_status keep_text(stored_result *out, sqlite3_stmt *row, int column, const char **text) {
    const char *found = (const char *)sqlite3_column_text(row, column);
    if (!found) {
        *text = "";
        return sqlite3_column_type(row, column) == SQLITE_NULL ? HONE_OK
                                                               : mem_fail("a text of a result", 0);
    }
    char *copy = mem_copy_string(found, strlen(found));
    TRY(own(out, copy, "a text of a result"));
    *text = copy;
    return HONE_OK;
}

/* JSON that the row holds; *value stays for NULL. */
static hone_status keep_json(sqlite3_stmt *row, int column, json_t **value) {
    const char *text = (const char *)sqlite3_column_text(row, column);
    if (!text) return HONE_OK;
    return json_parse(value, text, (size_t)sqlite3_column_bytes(row, column), "a stored result");
}

static double real_or_nan(sqlite3_stmt *row, int column) {
    return sqlite3_column_type(row, column) == SQLITE_NULL ? NAN
                                                           : sqlite3_column_double(row, column);
}

void result_release(stored_result *out) {
    for (size_t i = 0; i < out->n_owned; i++) mem_free(out->owned[i]);
    mem_free(out->owned);
    json_decref(out->settings);
    json_decref(out->environment);
    json_decref(out->detail);
    *out = (stored_result){.id = 0};
}

/* --- parts --- */

/* One more in an array that the result owns as soon as it is complete; `list` is one of its
 * fields. */
static hone_status grow(void *list, size_t n, size_t size, const char *what) {
    void *old, *larger = NULL;
    memcpy(&old, list, sizeof old);
    if ((n & (n - 1)) != 0) return HONE_OK; /* room for the next power of two is there */
    larger = mem_realloc(old, n ? 2 * n : 1, size);
    if (!larger) return mem_fail(what, 2 * n * size);
    memcpy(list, &larger, sizeof larger);
    return HONE_OK;
}

static hone_status read_subject(stored_result *out, sqlite3_stmt *row) {
    TRY(grow(&out->subjects, out->n_subjects, sizeof *out->subjects, "a result's models"));
    result_subject *s = &out->subjects[out->n_subjects];
    *s = (result_subject){.bytes = (uint64_t)sqlite3_column_int64(row, 5)};
    TRY(keep_text(out, row, 0, &s->role));
    TRY(keep_text(out, row, 1, &s->name));
    TRY(keep_text(out, row, 2, &s->file));
    TRY(keep_text(out, row, 3, &s->hash));
    TRY(keep_text(out, row, 4, &s->quantisation));
    out->n_subjects++;
    return HONE_OK;
}

static hone_status read_samples(stored_result *out, sqlite3_stmt *row, result_metric *m) {
    json_t *list = NULL;
    TRY(keep_json(row, 9, &list));
    size_t n = json_array_size(list);
    double *samples = n ? mem_calloc(n, sizeof *samples) : NULL;
    for (size_t i = 0; samples && i < n; i++) {
        samples[i] = json_number_value(json_array_get(list, i));
    }
    json_decref(list);
    if (n == 0) return HONE_OK;
    TRY(own(out, samples, "the samples of a metric"));
    m->samples = samples;
    m->n_samples = n;
    return HONE_OK;
}

static hone_status read_metric(stored_result *out, sqlite3_stmt *row) {
    TRY(grow(&out->metrics, out->n_metrics, sizeof *out->metrics, "a result's metrics"));
    result_metric *m = &out->metrics[out->n_metrics];
    *m = (result_metric){.value = real_or_nan(row, 3), .low = real_or_nan(row, 4),
                         .high = real_or_nan(row, 5), .n = (uint64_t)sqlite3_column_int64(row, 6),
                         .better = sqlite3_column_int(row, 7)};
    TRY(keep_text(out, row, 0, &m->name));
    TRY(keep_text(out, row, 1, &m->condition));
    TRY(keep_text(out, row, 2, &m->unit));
    TRY(keep_text(out, row, 8, &m->items_hash));
    TRY(read_samples(out, row, m));
    out->n_metrics++;
    return HONE_OK;
}

static validity_code find_code(const char *name) {
    for (int code = 0; code < VALIDITY_N_CODES; code++) {
        if (!strcmp(name, validity_code_name((validity_code)code))) return (validity_code)code;
    }
    return VALIDITY_UNFINISHED;
}

static hone_status read_reason(stored_result *out, sqlite3_stmt *row) {
    const char *code = (const char *)sqlite3_column_text(row, 0);
    const char *words = (const char *)sqlite3_column_text(row, 1);
    if (!code || !words) return mem_fail("a result's reasons", 0);
    validity_doubt(&out->validity, find_code(code), "%s", words);
    return HONE_OK;
}

static hone_status count_items(stored_result *out, sqlite3_stmt *row) {
    out->n_items = (size_t)sqlite3_column_int64(row, 0);
    return HONE_OK;
}

static hone_status read_argv(stored_result *out, json_t *command) {
    size_t n = json_array_size(command);
    const char **argv = mem_calloc(n + 1, sizeof *argv);
    TRY(own(out, argv, "a command line"));
    for (size_t i = 0; i < n; i++) {
        const char *word = json_string_value(json_array_get(command, i));
        char *copy = word ? mem_copy_string(word, strlen(word)) : NULL;
        TRY(own(out, copy, "a command line"));
        argv[i] = copy;
    }
    out->argv = argv;
    return HONE_OK;
}

/* --- a result --- */

static const char select_result[] =
    "SELECT r.id, r.kind, r.state, r.started_ms, r.seconds, ifnull(r.repeats, 0), r.process,"
    " r.build, r.folder, r.command, r.environment, r.settings, r.items_hash, r.detail, r.kernel,"
    " m.fingerprint, m.cpu, m.features, m.cores, m.processors, m.memory_bytes, m.cache_bytes"
    " FROM result r JOIN machine m ON m.fingerprint = r.machine";

static void copy_column(char *out, size_t n, sqlite3_stmt *row, int column) {
    const char *text = (const char *)sqlite3_column_text(row, column);
    snprintf(out, n, "%s", text ? text : "");
}

static void read_machine(machine_description *m, sqlite3_stmt *row) {
    copy_column(m->kernel, sizeof m->kernel, row, 14);
    copy_column(m->fingerprint, sizeof m->fingerprint, row, 15);
    copy_column(m->cpu, sizeof m->cpu, row, 16);
    copy_column(m->features, sizeof m->features, row, 17);
    m->n_cores = sqlite3_column_int(row, 18);
    m->n_processors = sqlite3_column_int(row, 19);
    m->memory_bytes = (uint64_t)sqlite3_column_int64(row, 20);
    m->cache_bytes = (uint64_t)sqlite3_column_int64(row, 21);
}

static hone_status read_columns(stored_result *out, sqlite3_stmt *row) {
    const char *kind = (const char *)sqlite3_column_text(row, 1);
    const char *state = (const char *)sqlite3_column_text(row, 2);
    json_t *command = NULL;
    if (!kind || !state) return mem_fail("a result", 0);
    out->id = sqlite3_column_int64(row, 0);
    if (!result_kind_find(kind, &out->kind)) {
        return fail(HONE_ERR_FORMAT, "result %lld is of the unknown kind %.40s",
                    (long long)out->id, kind);
    }
    out->finished = !strcmp(state, "finished");
    out->started_ms = sqlite3_column_int64(row, 3);
    out->seconds = sqlite3_column_double(row, 4);
    out->repeats = sqlite3_column_int64(row, 5);
    out->process = sqlite3_column_int64(row, 6);
    TRY(keep_text(out, row, 7, &out->build));
    TRY(keep_text(out, row, 8, &out->folder));
    TRY(keep_text(out, row, 12, &out->items_hash));
    TRY(keep_json(row, 10, &out->environment));
    TRY(keep_json(row, 11, &out->settings));
    TRY(keep_json(row, 13, &out->detail));
    read_machine(&out->machine, row);
    TRY(keep_json(row, 9, &command));
    hone_status status = command ? read_argv(out, command) : HONE_OK;
    json_decref(command);
    return status;
}

static hone_status read_rows(results *r, stored_result *out, const char *sql,
                             hone_status (*read)(stored_result *out, sqlite3_stmt *row)) {
    sqlite3_stmt *statement;
    bool there = true;
    TRY(results_prepare(r, &statement, sql, "i", out->id));
    hone_status status = results_step(r, statement, &there);
    while (status == HONE_OK && there) {
        status = read(out, statement);
        if (status == HONE_OK) status = results_step(r, statement, &there);
    }
    sqlite3_finalize(statement);
    return status;
}

static hone_status read_parts(results *r, stored_result *out) {
    TRY(read_rows(r, out, "SELECT role, name, file, hash, quantisation, bytes FROM subject"
                          " WHERE result = ?1 ORDER BY place", read_subject));
    TRY(read_rows(r, out, "SELECT name, condition, unit, value, low, high, n, better, items_hash,"
                          " samples FROM metric WHERE result = ?1 ORDER BY rowid", read_metric));
    TRY(read_rows(r, out, "SELECT code, words FROM reason WHERE result = ?1 ORDER BY place",
                  read_reason));
    TRY(read_rows(r, out, "SELECT count(*) FROM item WHERE result = ?1", count_items));
    if (!out->finished) {
        validity_doubt(&out->validity, VALIDITY_UNFINISHED, "the run did not come to its end");
    }
    return HONE_OK;
}

static hone_status read_result(results *r, sqlite3_stmt *row, stored_result *out) {
    stored_result read = {.id = 0};
    hone_status status = read_columns(&read, row);
    if (status == HONE_OK) status = read_parts(r, &read);
    /* The arrays are the result's own, whatever came of it. */
    if (read.subjects && own(&read, read.subjects, "a result's models") != HONE_OK) {
        status = HONE_ERR_MEMORY;
    }
    if (read.metrics && own(&read, read.metrics, "a result's metrics") != HONE_OK) {
        status = HONE_ERR_MEMORY;
    }
    if (status == HONE_OK) *out = read;
    else result_release(&read);
    return status;
}

hone_status results_get(results *r, int64_t id, stored_result *out) {
    sqlite3_stmt *statement;
    char sql[sizeof select_result + 32];
    bool there;
    snprintf(sql, sizeof sql, "%s WHERE r.id = ?1", select_result);
    TRY(results_prepare(r, &statement, sql, "i", id));
    hone_status status = results_step(r, statement, &there);
    if (status == HONE_OK && !there) {
        status = fail(HONE_ERR_NOT_FOUND, "there is no result %lld", (long long)id);
    }
    if (status == HONE_OK) status = read_result(r, statement, out);
    sqlite3_finalize(statement);
    return status;
}

const result_metric *result_find_metric(const stored_result *r, const char *name,
                                        const char *condition) {
    for (size_t i = 0; i < r->n_metrics; i++) {
        const result_metric *m = &r->metrics[i];
        if (!strcmp(m->name, name) && !strcmp(m->condition, condition)) return m;
    }
    return NULL;
}

/* --- lists --- */

/* ?1 kind, ?2 model, ?3 fingerprint, ?4 since, ?5 how many. */
static const char where_wanted[] =
    " WHERE (?1 IS NULL OR r.kind = ?1)"
    " AND (?2 IS NULL OR EXISTS (SELECT 1 FROM subject s WHERE s.result = r.id"
    "   AND (instr(lower(s.name), lower(?2)) OR instr(s.file, ?2) OR s.hash LIKE ?2 || '%')))"
    " AND (?3 IS NULL OR r.machine = ?3) AND r.started_ms >= ?4";
static const char is_valid[] =
    "(r.state = 'finished' AND NOT EXISTS (SELECT 1 FROM reason w WHERE w.result = r.id))";

static hone_status read_list(results *r, sqlite3_stmt *statement, results_list *list) {
    bool there;
    TRY(results_step(r, statement, &there));
    while (there) {
        TRY(grow(&list->results, list->n, sizeof *list->results, "a list of results"));
        TRY(read_result(r, statement, &list->results[list->n]));
        list->n++;
        TRY(results_step(r, statement, &there));
    }
    return HONE_OK;
}

static void reverse(results_list *list) {
    for (size_t i = 0; i < list->n / 2; i++) {
        stored_result first = list->results[i];
        list->results[i] = list->results[list->n - 1 - i];
        list->results[list->n - 1 - i] = first;
    }
}

hone_status results_find(results *r, const results_filter *f, results_list *list) {
    char sql[2048];
    sqlite3_stmt *statement;
    results_list found = {.n = 0};
    snprintf(sql, sizeof sql, "%s%s%s%s ORDER BY r.started_ms DESC, r.id DESC LIMIT ?5",
             select_result, where_wanted,
             f->wanted == RESULTS_ALL     ? ""
             : f->wanted == RESULTS_VALID ? " AND "
                                          : " AND NOT ",
             f->wanted == RESULTS_ALL ? "" : is_valid);
    /* One reading transaction: another process may delete meanwhile. */
    TRY(results_lock_to_read(r));
    hone_status status =
        results_prepare(r, &statement, sql, "tttii", f->kind, f->model, f->fingerprint, f->since_ms,
                        f->n_most ? (int64_t)f->n_most : (int64_t)-1);
    if (status == HONE_OK) {
        status = read_list(r, statement, &found);
        sqlite3_finalize(statement);
    }
    status = results_unlock(r, status);
    if (status != HONE_OK) {
        results_list_release(&found);
        return status;
    }
    reverse(&found);
    *list = found;
    return HONE_OK;
}

void results_list_release(results_list *list) {
    for (size_t i = 0; i < list->n; i++) result_release(&list->results[i]);
    mem_free(list->results);
    *list = (results_list){.n = 0};
}

/* --- items --- */

static hone_status give_item(sqlite3_stmt *row,
                             hone_status (*each)(void *context, const result_item *item),
                             void *context) {
    result_item item = {
        .task = (const char *)sqlite3_column_text(row, 0),
        .id = (const char *)sqlite3_column_text(row, 1),
        .prompt = (const char *)sqlite3_column_text(row, 2),
        .output = (const char *)sqlite3_column_text(row, 3),
        .verdict = (const char *)sqlite3_column_text(row, 4),
        .reason = (const char *)sqlite3_column_text(row, 5),
        .score = real_or_nan(row, 6),
    };
    if (!item.task || !item.id) return mem_fail("an item of a result", 0);
    TRY(keep_json(row, 7, &item.scores));
    hone_status status = each(context, &item);
    json_decref(item.scores);
    return status;
}

hone_status results_each_item(results *r, int64_t id,
                              hone_status (*each)(void *context, const result_item *item),
                              void *context) {
    sqlite3_stmt *statement;
    bool there;
    TRY(results_prepare(r, &statement,
                        "SELECT task, id, prompt, output, verdict, reason, score, scores FROM item"
                        " WHERE result = ?1 ORDER BY task, id", "i", id));
    hone_status status = results_step(r, statement, &there);
    while (status == HONE_OK && there) {
        status = give_item(statement, each, context);
        if (status == HONE_OK) status = results_step(r, statement, &there);
    }
    sqlite3_finalize(statement);
    return status;
}
