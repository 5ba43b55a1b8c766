#include "weights/quant_choice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "infer/engine.h"
#include "tensor/quant.h"
#include "weights/fidelity.h"
#include "weights/model_matrices.h"
#include "weights/quant_mix.h"

enum {
    WINDOW = 193, /* tokens of the text that are read; the last one is only predicted */
    FIRST_SCORED = 96,
    N_SCORED = WINDOW - 1 - FIRST_SCORED,
    SAMPLED_ROWS = 128, /* of each tensor, for the errors of its types */
    LAYER_STEP = 4 /* sensitivities are measured in each fourth layer and between them estimated */
};

/* The probe's error is this many times that of the probed type, so that it shows. */
#define PROBE_FACTOR 3.0f

/* Room for what the file says beyond the input's own keys: a line of the table for each tensor. */
#define HEAD_BYTES(n_tensors) (2048 + 64 * (uint64_t)(n_tensors))

/* --- errors of types --- */

static const dtype offered[CHOICE_MAX_OFFERS] = {
    DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_IQ4_XS, DTYPE_IQ4_NL, DTYPE_Q4_K, DTYPE_Q4_1,
    DTYPE_Q5_0, DTYPE_Q5_K, DTYPE_Q5_1,   DTYPE_Q6_K,   DTYPE_Q8_0, DTYPE_F16};

typedef struct measuring {
    const choice_options *options;
    quant_choice *c;
    hone_model *model;
    const gguf *file;
    const kernels *kernels;
    pool *pool;
    hone_session *session;
    int32_t *ids;         /* of the text, WINDOW of them or more */
    size_t n_vocab;
    float *reference;     /* logits [N_SCORED, n_vocab] */
    double kl[N_SCORED];
    float *rows;      /* [threads, 3, widest row] values, decoded, bytes */
    size_t widest;
    double errors[SAMPLED_ROWS];
    uint8_t *probe;   /* the perturbed matrix as F16, [probe_room] */
    size_t probe_room;
    page_thrift thrift;
} measuring;

/* One tensor's rows, for the pool's threads. */
typedef struct row_task {
    measuring *m;
    const tensor *view;
    const float *importance; /* [experts, columns] or NULL */
    dtype type;
    size_t step; /* between rows */
} row_task;

/* Row `row` of the tensor, and what it becomes in the type; *error is the weighted square. */
static void try_row(const row_task *t, size_t row, int thread, float **x, float **decoded,
                    double *error) {
    measuring *m = t->m;
    size_t n = t->view->ne[0];
    *x = m->rows + (size_t)thread * 3 * m->widest;
    *decoded = *x + m->widest;
    void *blocks = *decoded + m->widest;
    const float *importance = t->importance ? t->importance + row / t->view->ne[1] * n : NULL;
    m->kernels->decode_row(t->view->type, *x, tensor_row(t->view, row), n);
    *error = NAN;
    if (quant_encode_row(t->type, blocks, *x, n, importance) != HONE_OK) return;
    m->kernels->decode_row(t->type, *decoded, blocks, n);
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)(*x)[i] - (double)(*decoded)[i];
        sum += (importance ? (double)importance[i] : 1.0) * d * d;
    }
    *error = sum;
}

static void sample_row(void *user, size_t index, int thread) {
    const row_task *t = user;
    float *x, *decoded;
    try_row(t, index * t->step, thread, &x, &decoded, &t->m->errors[index]);
}

static size_t n_rows_of(const tensor *t) { return t->ne[1] * t->ne[2] * t->ne[3]; }

/* E of the type on the whole tensor, from some of its rows. */
static hone_status error_of(measuring *m, const tensor *view, const float *importance, dtype type,
                            double *error) {
    size_t n = n_rows_of(view), step = n / SAMPLED_ROWS + (n % SAMPLED_ROWS != 0), taken = n / step;
    row_task task = {m, view, importance, type, step};
    double sum = 0.0;
    pool_run(m->pool, taken, sample_row, &task);
    for (size_t i = 0; i < taken; i++) sum += m->errors[i];
    *error = sum * (double)n / (double)taken;
    return isfinite(sum) ? HONE_OK : fail(HONE_ERR_NUMERIC, "weights are not finite numbers");
}

/* --- sensitivities --- */

static void probe_row(void *user, size_t row, int thread) {
    const row_task *t = user;
    float *x, *decoded;
    double error;
    size_t n = t->view->ne[0];
    try_row(t, row, thread, &x, &decoded, &error);
    for (size_t i = 0; i < n; i++) x[i] += PROBE_FACTOR * (decoded[i] - x[i]);
    if (quant_encode_row(DTYPE_F16, t->m->probe + row * n * 2, x, n, NULL) != HONE_OK)
        memset(t->m->probe + row * n * 2, 0, n * 2);
}

static void compare_row(void *user, size_t index, int thread) {
    (void)thread;
    measuring *m = user;
    m->kl[index] = fidelity_compare(m->reference + index * m->n_vocab,
                                    hone_session_logits(m->session, index), m->n_vocab, 0).kl;
}

/* Leaves the session with the logits of all scored places. */
static hone_status read_text(measuring *m) {
    TRY(hone_session_rewind(m->session, 0));
    TRY(hone_step(&(hone_step_item){m->session, m->ids, FIRST_SCORED, HONE_LOGITS_NONE}, 1));
    return hone_step(&(hone_step_item){m->session, m->ids + FIRST_SCORED, N_SCORED,
                                       HONE_LOGITS_ALL}, 1);
}

static hone_status keep_reference(measuring *m) {
    size_t n;
    if (size_mul(N_SCORED, m->n_vocab, &n)) m->reference = mem_calloc(n, sizeof *m->reference);
    if (!m->reference) return mem_fail("logits", m->n_vocab);
    TRY(read_text(m));
    for (size_t i = 0; i < N_SCORED; i++)
        memcpy(m->reference + i * m->n_vocab, hone_session_logits(m->session, i),
               m->n_vocab * sizeof *m->reference);
    return HONE_OK;
}

/* Every view of the data in the model becomes a view of others. */
static void swap_matrix(hone_model *model, const void *data, const tensor *other) {
    tensor *view;
    for (size_t i = 0; (view = llama_matrix(&model->net, i)); i++)
        if (view->data == data) *view = *other;
}

static hone_status reserve_probe(measuring *m, size_t bytes) {
    if (bytes <= m->probe_room) return HONE_OK;
    mem_free(m->probe);
    m->probe = mem_alloc_aligned(bytes, 1);
    m->probe_room = m->probe ? bytes : 0;
    return m->probe ? HONE_OK : mem_fail("a matrix", bytes);
}

/* What tensor `view` does to the answers when its error is that of `type`, enlarged. */
static hone_status probe(measuring *m, const tensor *view, const float *importance, dtype type,
                         double *kl) {
    size_t n_rows = n_rows_of(view);
    row_task task = {m, view, importance, type, 1};
    TRY(reserve_probe(m, n_rows * view->ne[0] * 2));
    pool_run(m->pool, n_rows, probe_row, &task);
    tensor changed = *view;
    changed.type = DTYPE_F16;
    changed.data = m->probe;
    changed.row_bytes = view->ne[0] * 2;
    swap_matrix(m->model, view->data, &changed);
    hone_status status = read_text(m);
    swap_matrix(m->model, m->probe, view);
    TRY(status);
    pool_run(m->pool, N_SCORED, compare_row, m);
    *kl = 0.0;
    for (size_t i = 0; i < N_SCORED; i++) *kl += m->kl[i] / N_SCORED;
    return HONE_OK;
}

static const float *importance_of(const measuring *m, const choice_tensor *t, const tensor *view) {
    const imatrix *data = m->options->importance;
    const imatrix_entry *entry = data ? imatrix_find(data, t->name) : NULL;
    return entry && entry->n_columns == view->ne[0] ? entry->mean : NULL;
}

/* The offers, whose losses are but errors yet. */
static hone_status list_offers(measuring *m, choice_tensor *t) {
    const tensor *view = &gguf_tensor_at(m->file, t->index)->view;
    for (size_t i = 0; i < sizeof offered / sizeof *offered; i++) {
        size_t row_bytes;
        choice_offer *o = &t->offers[t->n_offers];
        if (!dtype_row_bytes(offered[i], view->ne[0], &row_bytes)) continue;
        *o = (choice_offer){.type = offered[i], .bytes = row_bytes * n_rows_of(view)};
        TRY(error_of(m, view, importance_of(m, t, view), offered[i], &o->loss));
        t->n_offers++;
    }
    return HONE_OK;
}

static hone_status measure_sensitivity(measuring *m, choice_tensor *t) {
    const tensor *view = &gguf_tensor_at(m->file, t->index)->view;
    const float *importance = importance_of(m, t, view);
    dtype coarse = quant_mix_fall_back(DTYPE_Q3_K, view->ne[0]);
    double kl, error;
    if (coarse == DTYPE_F16) return HONE_OK; /* rows that no block type holds */
    TRY(error_of(m, view, importance, coarse, &error));
    TRY(probe(m, view, importance, coarse, &kl));
    t->sensitivity = error > 0.0 ? kl / (error * (double)(PROBE_FACTOR * PROBE_FACTOR)) : 0.0;
    return HONE_OK;
}

/* --- layers --- */

/* Layer and class ("attn_q.weight") of a tensor; layer −1: it belongs to none. */
static long layer_of(const choice_tensor *t, const char **class_name) {
    long layer = -1;
    int end = 0;
    if (sscanf(t->name, "blk.%5ld.%n", &layer, &end) != 1 || end == 0) layer = -1;
    *class_name = t->name + (layer >= 0 ? end : 0);
    return layer;
}

static bool is_measured(const measuring *m, const choice_tensor *t) {
    const char *name;
    long layer = layer_of(t, &name), last = (long)hone_model_describe(m->model)->n_layers - 1;
    return layer < 0 || layer % LAYER_STEP == 0 || layer == last;
}

/* The measured tensor of the same class that is nearest below (direction −1) or above. */
static const choice_tensor *neighbour(const measuring *m, const choice_tensor *t, long direction,
                                      long *distance) {
    const char *name, *other_name;
    const choice_tensor *best = NULL;
    long layer = layer_of(t, &name);
    for (size_t i = 0; i < m->c->n; i++) {
        const choice_tensor *other = &m->c->tensors[i];
        long d = (layer_of(other, &other_name) - layer) * direction;
        if (d <= 0 || !is_measured(m, other) || strcmp(name, other_name) != 0) continue;
        if (best && d >= *distance) continue;
        best = other;
        *distance = d;
    }
    return best;
}

/* Between two measured layers sensitivities change by a factor for each layer. */
static void estimate_sensitivity(measuring *m, choice_tensor *t) {
    long below = 0, above = 0;
    const choice_tensor *a = neighbour(m, t, -1, &below), *b = neighbour(m, t, 1, &above);
    if (!a || !b) {
        t->sensitivity = a ? a->sensitivity : b ? b->sensitivity : 0.0;
        return;
    }
    double share = (double)below / (double)(below + above);
    double low = log(a->sensitivity + 1e-300), high = log(b->sensitivity + 1e-300);
    t->sensitivity = exp(low + share * (high - low));
}

/* --- all of it --- */

static hone_status list_tensors(measuring *m) {
    quant_choice *c = m->c;
    uint64_t tensor_bytes = 0;
    c->n_types = gguf_n_tensors(m->file);
    c->types = mem_calloc(c->n_types, sizeof *c->types);
    c->tensors = mem_calloc(c->n_types, sizeof *c->tensors);
    if (!c->types || !c->tensors) return mem_fail("tensors", c->n_types * sizeof *c->tensors);
    for (size_t i = 0; i < c->n_types; i++) {
        const gguf_tensor *t = gguf_tensor_at(m->file, i);
        choice_tensor *matrix = &c->tensors[c->n];
        snprintf(matrix->name, sizeof matrix->name, "%.*s", (int)t->name.n, t->name.data);
        bool is_weight = dtype_get(t->view.type)->is_weight;
        c->types[i] = is_weight && t->view.n_dims < 2 ? DTYPE_F32 : t->view.type;
        tensor_bytes += t->bytes;
        if (is_weight && quant_mix_is_matrix(matrix->name, &t->view)) {
            matrix->index = i;
            c->n++;
            if (t->view.ne[0] > m->widest) m->widest = t->view.ne[0];
        } else {
            uint64_t bytes = t->bytes; /* vectors may become F32 */
            if (c->types[i] == DTYPE_F32) bytes = t->view.ne[0] * sizeof(float);
            c->fixed_bytes += (bytes + 63) / 64 * 64;
        }
    }
    c->fixed_bytes += gguf_file_bytes(m->file) - tensor_bytes + HEAD_BYTES(c->n_types);
    return HONE_OK;
}

static hone_status tokenise(measuring *m) {
    int32_t *start = NULL;
    size_t n, n_start = 0;
    TRY(hone_tokenize(m->model, m->options->text, m->options->n_bytes, true, &m->ids, &n));
    if (n < WINDOW)
        return fail(HONE_ERR_ARGUMENT, "%zu tokens of text are too few; %d are needed", n, WINDOW);
    TRY(hone_tokenize(m->model, "", 0, true, &start, &n_start));
    if (n_start > 0) m->ids[0] = start[0];
    hone_free(start);
    return HONE_OK;
}

static hone_status prepare(measuring *m, const char *path) {
    const hone_model_options open = {.n_threads = m->options->n_threads};
    const hone_session_options exact = {
        .n_context = WINDOW, .exact = true, .prefill_chunk = WINDOW};
    TRY(hone_model_open(&m->model, path, &open));
    const hone_model_info *info = hone_model_describe(m->model);
    m->file = m->model->source.gguf;
    if (!m->file || m->model->family != FAMILY_LLAMA)
        return fail(HONE_ERR_UNSUPPORTED, "%s is no GGUF file of a text model", path);
    if (info->n_context < WINDOW)
        return fail(HONE_ERR_UNSUPPORTED, "%s has a context of %zu tokens, at least %d are needed",
                    path, info->n_context, WINDOW);
    m->n_vocab = info->n_vocab;
    page_thrift_begin(&m->thrift, m->model);
    TRY(kernels_get(&m->kernels));
    TRY(pool_open(&m->pool, info->n_threads));
    TRY(list_tensors(m));
    TRY(tokenise(m));
    TRY(hone_session_open(&m->session, m->model, &exact));
    m->rows = mem_alloc_aligned((size_t)info->n_threads * 3 * m->widest, sizeof *m->rows);
    if (!m->rows) return mem_fail("rows", 3 * m->widest * sizeof *m->rows);
    return keep_reference(m);
}

static hone_status measure(measuring *m, const char *path) {
    const choice_options *o = m->options;
    TRY(prepare(m, path));
    for (size_t i = 0; i < m->c->n; i++) {
        choice_tensor *t = &m->c->tensors[i];
        hone_status status = list_offers(m, t);
        if (status == HONE_OK && is_measured(m, t)) status = measure_sensitivity(m, t);
        if (status != HONE_OK) return fail_context(status, "tensor '%s'", t->name);
        if (o->observe && !o->observe(o->context, i + 1, m->c->n))
            return fail(HONE_ERR_CANCELLED, "stopped");
    }
    for (size_t i = 0; i < m->c->n; i++) {
        choice_tensor *t = &m->c->tensors[i];
        if (!is_measured(m, t)) estimate_sensitivity(m, t);
        for (size_t k = 0; k < t->n_offers; k++) t->offers[k].loss *= t->sensitivity;
    }
    return HONE_OK;
}

hone_status quant_choice_measure(quant_choice *c, const char *path, const choice_options *options) {
    *c = (quant_choice){.n = 0};
    measuring m = {.options = options, .c = c};
    hone_status status = measure(&m, path);
    hone_session_close(m.session);
    hone_model_close(m.model);
    pool_close(m.pool);
    hone_free(m.ids);
    mem_free(m.reference);
    mem_free(m.rows);
    mem_free(m.probe);
    if (status != HONE_OK) quant_choice_release(c);
    return status;
}

void quant_choice_release(quant_choice *c) {
    mem_free(c->tensors);
    mem_free(c->types);
    *c = (quant_choice){.n = 0};
}

/* --- choosing --- */

uint64_t quant_choice_bytes(const quant_choice *c) {
    uint64_t bytes = c->fixed_bytes;
    for (size_t i = 0; i < c->n; i++)
        bytes += (c->tensors[i].offers[c->tensors[i].chosen].bytes + 63) / 64 * 64;
    return bytes;
}

double quant_choice_loss(const quant_choice *c) {
    double loss = 0.0;
    for (size_t i = 0; i < c->n; i++) loss += c->tensors[i].offers[c->tensors[i].chosen].loss;
    return loss;
}

/* Each tensor's best offer where a byte costs `price` nats; of equal ones the smaller. */
static void choose_at(quant_choice *c, double price) {
    for (size_t i = 0; i < c->n; i++) {
        choice_tensor *t = &c->tensors[i];
        double least = INFINITY;
        for (size_t k = 0; k < t->n_offers; k++) {
            double cost = t->offers[k].loss + price * (double)t->offers[k].bytes;
            bool smaller = cost == least && t->offers[k].bytes < t->offers[t->chosen].bytes;
            if (!(cost < least) && !smaller) continue;
            least = cost;
            t->chosen = k;
        }
        c->types[t->index] = t->offers[t->chosen].type;
    }
}

/* Prices between nothing and more than any loss is worth, by their logarithm. A higher price never
 * gives more bytes nor less loss. */
static const double cheapest = 1e-24, dearest = 1e6;

/* The offer that lowers the loss most for each byte among those for which there is room; false:
 * none. */
static bool spend(quant_choice *c, uint64_t room) {
    choice_tensor *best = NULL;
    size_t best_offer = 0;
    double best_worth = 0.0;
    for (size_t i = 0; i < c->n; i++) {
        choice_tensor *t = &c->tensors[i];
        const choice_offer *now = &t->offers[t->chosen];
        for (size_t k = 0; k < t->n_offers; k++) {
            const choice_offer *o = &t->offers[k];
            if (o->loss >= now->loss || o->bytes + 64 > now->bytes + room) continue;
            double more = o->bytes > now->bytes ? (double)(o->bytes - now->bytes) : 1.0;
            if ((now->loss - o->loss) / more <= best_worth) continue;
            best_worth = (now->loss - o->loss) / more;
            best = t;
            best_offer = k;
        }
    }
    if (!best) return false;
    best->chosen = best_offer;
    c->types[best->index] = best->offers[best_offer].type;
    return true;
}

bool quant_choice_by_size(quant_choice *c, uint64_t bytes) {
    double low = log(cheapest), high = log(dearest);
    for (int i = 0; i < 100; i++) {
        double middle = 0.5 * (low + high);
        choose_at(c, exp(middle));
        if (quant_choice_bytes(c) <= bytes) high = middle;
        else low = middle;
    }
    choose_at(c, exp(high));
    while (quant_choice_bytes(c) <= bytes && spend(c, bytes - quant_choice_bytes(c))) {}
    return quant_choice_bytes(c) <= bytes;
}

bool quant_choice_by_loss(quant_choice *c, double loss) {
    double low = log(cheapest), high = log(dearest);
    for (int i = 0; i < 100; i++) {
        double middle = 0.5 * (low + high);
        choose_at(c, exp(middle));
        if (quant_choice_loss(c) <= loss) low = middle;
        else high = middle;
    }
    choose_at(c, exp(low));
    return quant_choice_loss(c) <= loss;
}
