#include "cli/record.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "weights/store.h"

void record_note(record *r, hone_status status) {
    if (status == HONE_OK) return;
    if (status != HONE_ERR_CANCELLED)
        cli_error("this result is not kept: %s", hone_error_message());
    results_close(r->db);
    r->db = NULL;
    r->id = 0;
    r->failed = true;
}

static bool on_hash(void *context, uint64_t bytes) {
    uint64_t *done = context;
    *done = bytes;
    cli_progress("hashing the model: %llu MiB", (unsigned long long)(bytes >> 20));
    return !interrupt_seen();
}

static bool open_database(record *r) {
    if (!r->db && !r->failed) record_note(r, results_open(&r->db, NULL));
    return r->db && r->n_subjects < RECORD_MAX_MODELS;
}

void record_add_server(record *r, const char *name, const char *url) {
    if (!open_database(r)) return;
    r->subjects[r->n_subjects++] = (result_subject){.role = "server", .name = name, .file = url};
}

void record_add_model(record *r, const char *role, const char *name, const hone_model *model) {
    const size_t i = r->n_subjects;
    uint64_t done = 0;
    if (!open_database(r)) return;
    r->subjects[i] = (result_subject){.role = role, .name = name};
    if (model) {
        const hone_model_info *info = hone_model_describe(model);
        r->subjects[i].quantisation = info->weight_type;
        r->subjects[i].bytes = info->file_bytes;
    }
    if (store_resolve(name, &r->paths[i]) == HONE_OK) {
        r->subjects[i].file = r->paths[i];
        if (results_hash(r->db, r->paths[i], r->hashes[i], on_hash, &done) == HONE_OK) {
            r->subjects[i].hash = r->hashes[i];
        }
    }
    cli_progress_clear();
    r->n_subjects++;
}

void record_begin(record *r, result_kind kind, json_t *settings) {
    const result_start start = {.kind = kind, .subjects = r->subjects, .n_subjects = r->n_subjects,
                                .settings = settings, .argv = cli_command_line()};
    if (r->db) record_note(r, results_begin(r->db, &start, &r->id));
    json_decref(settings);
}

void record_finish(record *r, const validity *v, json_t *detail) {
    if (!r->id) return;
    record_note(r, results_finish(r->db, r->id, v, detail));
    if (r->id && cli_is_terminal(stderr)) {
        fprintf(stderr, "kept as result %lld (hone report %lld)\n", (long long)r->id,
                (long long)r->id);
    }
}

void record_release(record *r) {
    results_close(r->db);
    for (size_t i = 0; i < r->n_subjects; i++) mem_free(r->paths[i]);
    *r = (record){.id = 0};
}

void record_print_doubts(const validity *v) {
    if (v->n) printf("\nDo not rely on these numbers:\n");
    for (size_t i = 0; i < v->n; i++) printf("  %s\n", v->reasons[i].words);
}
