#include "weights/calibrate.h"

#include <string.h>

#include "base/mem.h"
#include "infer/engine.h"
#include "weights/model_matrices.h"

enum { USUAL_CHUNK = 512 };

typedef struct calibration {
    hone_model *model;
    imatrix *out; /* sums until the end */
    hone_status status; /* of the observer */
} calibration;

static void add_squares(imatrix_entry *e, const activations *x) {
    for (size_t t = 0; t < x->n_tokens; t++) {
        const float *row = x->x + t * x->n_in;
        for (size_t i = 0; i < x->n_in; i++) e->mean[i] += row[i] * row[i];
    }
    e->counts[0] += (float)x->n_tokens;
}

static hone_status find_or_add(calibration *c, const char *name, size_t n_columns,
                               imatrix_entry **e) {
    uint32_t index;
    if (!strmap_find(&c->out->by_name, name, strlen(name), &index))
        return imatrix_add(c->out, name, strlen(name), n_columns, 1, e);
    *e = &c->out->entries[index];
    return HONE_OK;
}

static void on_product(void *user, const tensor *w, const activations *x) {
    calibration *c = user;
    char name[MATRIX_NAME_BYTES];
    imatrix_entry *e;
    if (c->status != HONE_OK || !matrix_name(&c->model->source, w, name)) return;
    c->status = find_or_add(c, name, x->n_in, &e);
    if (c->status == HONE_OK) add_squares(e, x);
}

static hone_status read_chunks(calibration *c, hone_session *s, int32_t *ids, size_t n,
                               int32_t bos, size_t chunk, const calibrate_options *o) {
    for (size_t done = 0; done < n;) {
        size_t width = n - done < chunk ? n - done : chunk;
        if (bos >= 0) ids[done] = bos;
        TRY(hone_session_rewind(s, 0));
        TRY(hone_step(&(hone_step_item){s, ids + done, width, HONE_LOGITS_NONE}, 1));
        TRY(c->status);
        c->out->n_chunks++;
        done += width;
        if (o->observe && !o->observe(o->context, done, n))
            return fail(HONE_ERR_CANCELLED, "stopped");
    }
    return HONE_OK;
}

static hone_status calibrate(calibration *c, const char *text, size_t n_bytes,
                             const calibrate_options *o) {
    int32_t *ids = NULL, *start = NULL;
    size_t n = 0, n_start = 0, most = hone_model_describe(c->model)->n_context;
    size_t chunk = most < USUAL_CHUNK ? most : USUAL_CHUNK;
    hone_session *s = NULL;
    hone_status status = hone_tokenize(c->model, "", 0, true, &start, &n_start);
    if (status == HONE_OK) status = hone_tokenize(c->model, text, n_bytes, true, &ids, &n);
    if (status == HONE_OK && n == 0) status = fail(HONE_ERR_ARGUMENT, "the text is empty");
    const hone_session_options options = {.n_context = chunk, .prefill_chunk = chunk};
    if (status == HONE_OK) status = hone_session_open(&s, c->model, &options);
    if (o->n_tokens && n > o->n_tokens) n = o->n_tokens;
    c->out->chunk_size = (uint32_t)chunk;
    c->model->compute.observe = on_product;
    c->model->compute.observe_user = c;
    if (status == HONE_OK)
        status = read_chunks(c, s, ids, n, n_start > 0 ? start[0] : -1, chunk, o);
    c->model->compute.observe = NULL;
    hone_session_close(s);
    hone_free(ids);
    hone_free(start);
    return status;
}

hone_status calibrate_model(imatrix *out, hone_model *model, const char *text, size_t n_bytes,
                            const calibrate_options *options) {
    TRY(imatrix_init(out, options->dataset ? options->dataset : ""));
    calibration c = {.model = model, .out = out};
    hone_status status = calibrate(&c, text, n_bytes, options);
    if (status != HONE_OK) {
        imatrix_release(out);
        return status;
    }
    for (size_t i = 0; i < out->n; i++) {
        imatrix_entry *e = &out->entries[i];
        for (size_t j = 0; j < e->n_columns; j++) e->mean[j] /= e->counts[0];
    }
    return HONE_OK;
}
