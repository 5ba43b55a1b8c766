/* Writing results: begin, items, metrics, finish; hashes of files. */
#ifdef __linux__
#include <link.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hone/model.h"
#include "lab/results_int.h"

static const char *const kind_names[RESULT_N_KINDS] = {
    [RESULT_BENCH] = "bench",       [RESULT_EVAL] = "eval",       [RESULT_FIDELITY] = "fidelity",
    [RESULT_TUNE] = "tune",         [RESULT_COMPARE] = "compare", [RESULT_LOAD] = "load",
};

const char *result_kind_name(result_kind kind) { return kind_names[kind]; }

bool result_kind_find(const char *name, result_kind *kind) {
    for (int i = 0; i < RESULT_N_KINDS; i++) {
        if (strcmp(name, kind_names[i]) != 0) continue;
        *kind = (result_kind)i;
        return true;
    }
    return false;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the build --- */

typedef struct build_id {
    char hex[41];
} build_id;

#ifdef __linux__
/* The linker's note about the program itself, which dl_iterate_phdr gives first. */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *user) {
    build_id *id = user;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_NOTE) continue;
        const char *at = (const char *)info->dlpi_addr + part->p_vaddr;
        const char *end = at + part->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const unsigned char *bytes =
                (const unsigned char *)at + sizeof *note + ((note->n_namesz + 3u) & ~3u);
            at = (const char *)bytes + ((note->n_descsz + 3u) & ~3u);
            if (note->n_type != NT_GNU_BUILD_ID || at > end) continue;
            for (size_t b = 0; b < note->n_descsz && 2 * b + 2 < sizeof id->hex; b++) {
                sprintf(id->hex + 2 * b, "%02x", bytes[b]);
            }
        }
    }
    return 1;
}
#endif

void results_describe_build(char *text, size_t n) {
    build_id id = {""};
#ifdef __linux__
    dl_iterate_phdr(find_build_id, &id);
#endif
    snprintf(text, n, "%s %s%s %.12s", hone_version(),
#ifdef __clang__
             "clang ", __clang_version__,
#else
             "gcc ", __VERSION__,
#endif
             id.hex);
}

/* --- begin --- */

static hone_status add_machine(results *r, const machine_description *m) {
    return results_execute(r, "INSERT INTO machine VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                              " ON CONFLICT DO NOTHING",
                           "tttiiii", m->fingerprint, m->cpu, m->features, (int64_t)m->n_cores,
                           (int64_t)m->n_processors, (int64_t)m->memory_bytes,
                           (int64_t)m->cache_bytes);
}

static hone_status add_subjects(results *r, int64_t id, const result_start *start) {
    for (size_t i = 0; i < start->n_subjects; i++) {
        const result_subject *s = &start->subjects[i];
        TRY(results_execute(r, "INSERT INTO subject VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                            "iittttti", id, (int64_t)i, s->role, s->name, s->file, s->hash,
                            s->quantisation, (int64_t)s->bytes));
    }
    return HONE_OK;
}

/* What of the environment decides about numbers. */
static json_t *note_environment(void) {
    static const char *const names[] = {"HONE_CPU", "HONE_THREADS"};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value) json_object_set_new(object, names[i], json_string(value));
    }
    return object;
}

/* A word that is no UTF-8 (a file's name) is kept with U+FFFD: such a command cannot be
 * repeated. */
static json_t *note_command(const char *const *argv) {
    json_t *array = argv ? json_array() : NULL;
    for (; array && *argv; argv++) {
        json_t *word = json_string(*argv);
        json_array_append_new(array, word ? word : json_string("\uFFFD"));
    }
    return array;
}

static hone_status add_result(results *r, const result_start *start, const machine_description *m,
                              json_t *command, json_t *environment, int64_t *id) {
    char build[RESULTS_MAX_BUILD], folder[4096];
    results_describe_build(build, sizeof build);
    if (!getcwd(folder, sizeof folder)) folder[0] = '\0';
    json_t *settings = start->settings ? json_incref(start->settings) : json_object();
    hone_status status = results_execute(
        r,
        "INSERT INTO result (kind, state, started_ms, machine, kernel, build, process, folder,"
        " command, environment, settings, items_hash, repeats)"
        " VALUES (?1, 'running', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, nullif(?12, 0))",
        "titttitjjjti", kind_names[start->kind], now_ms(), m->fingerprint, m->kernel, build,
        (int64_t)getpid(), folder, command, environment, settings, start->items_hash,
        start->repeats);
    json_decref(settings);
    *id = sqlite3_last_insert_rowid(r->db);
    return status;
}

static hone_status begin(results *r, const result_start *start, const machine_description *m,
                         json_t *command, json_t *environment, int64_t *id) {
    TRY(add_machine(r, m));
    TRY(add_result(r, start, m, command, environment, id));
    return add_subjects(r, *id, start);
}

hone_status results_begin(results *r, const result_start *start, int64_t *id) {
    machine_description m;
    int64_t made;
    TRY(machine_describe(&m));
    json_build_begin();
    json_t *command = note_command(start->argv), *environment = note_environment();
    hone_status status = json_build_end("the command line");
    if (status == HONE_OK) status = results_lock(r);
    if (status == HONE_OK) {
        status = results_unlock(r, begin(r, start, &m, command, environment, &made));
    }
    json_decref(command);
    json_decref(environment);
    if (status == HONE_OK) *id = made;
    return status;
}

/* --- more --- */

static hone_status check_id(results *r, int64_t id) {
    return sqlite3_changes(r->db) > 0
               ? HONE_OK
               : fail(HONE_ERR_NOT_FOUND, "there is no result %lld", (long long)id);
}

static json_t *list_samples(const result_metric *m) {
    if (!m->samples) return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < m->n_samples; i++) {
        json_array_append_new(list, json_real(m->samples[i]));
    }
    return list;
}

static hone_status add_metric(results *r, int64_t id, const result_metric *m) {
    json_build_begin();
    json_t *samples = list_samples(m);
    hone_status status = json_build_end("the samples of a metric");
    if (status == HONE_OK) {
        status = results_execute(
            r,
            "INSERT OR REPLACE INTO metric VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            "itttdddiitj", id, m->name, m->condition ? m->condition : "", m->unit, m->value, m->low,
            m->high, (int64_t)m->n, (int64_t)m->better, m->items_hash, samples);
    }
    json_decref(samples);
    return status;
}

static hone_status add_item(results *r, int64_t id, const result_item *item) {
    return results_execute(r,
                           "INSERT OR REPLACE INTO item "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                           "ittttttdj", id, item->task, item->id, item->prompt, item->output,
                           item->verdict, item->reason, item->score, item->scores);
}

static hone_status add_metrics(results *r, int64_t id, const result_metric *metrics, size_t n) {
    for (size_t i = 0; i < n; i++) TRY(add_metric(r, id, &metrics[i]));
    return HONE_OK;
}

static hone_status add_items(results *r, int64_t id, const result_item *items, size_t n) {
    for (size_t i = 0; i < n; i++) TRY(add_item(r, id, &items[i]));
    return HONE_OK;
}

hone_status results_add_metrics(results *r, int64_t id, const result_metric *metrics, size_t n) {
    TRY(results_lock(r));
    return results_unlock(r, add_metrics(r, id, metrics, n));
}

hone_status results_add_items(results *r, int64_t id, const result_item *items, size_t n) {
    TRY(results_lock(r));
    return results_unlock(r, add_items(r, id, items, n));
}

static hone_status finish(results *r, int64_t id, const validity *v, json_t *detail) {
    TRY(results_execute(r, "UPDATE result SET state = 'finished', detail = ?2,"
                           " seconds = max(0, ?3 - started_ms) / 1000.0 WHERE id = ?1",
                        "iji", id, detail, now_ms()));
    TRY(check_id(r, id));
    TRY(results_execute(r, "DELETE FROM reason WHERE result = ?1", "i", id));
    for (size_t i = 0; v && i < v->n; i++) {
        TRY(results_execute(r, "INSERT INTO reason VALUES (?1, ?2, ?3, ?4)", "iitt", id, (int64_t)i,
                            validity_code_name(v->reasons[i].code), v->reasons[i].words));
    }
    return HONE_OK;
}

hone_status results_finish(results *r, int64_t id, const validity *v, json_t *detail) {
    TRY(results_lock(r));
    return results_unlock(r, finish(r, id, v, detail));
}

hone_status results_name_subject(results *r, int64_t id, size_t place, const char *name) {
    TRY(results_execute(r, "UPDATE subject SET name = ?3 WHERE result = ?1 AND place = ?2", "iit",
                        id, (int64_t)place, name));
    return check_id(r, id);
}

hone_status results_set_repeats(results *r, int64_t id, int64_t repeats) {
    TRY(results_execute(r, "UPDATE result SET repeats = ?2 WHERE id = ?1", "ii", id, repeats));
    return check_id(r, id);
}

hone_status results_delete(results *r, int64_t id) {
    TRY(results_execute(r, "DELETE FROM result WHERE id = ?1", "i", id));
    return check_id(r, id);
}
