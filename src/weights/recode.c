#include "weights/recode.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "model/hparams.h"
#include "tensor/quant.h"

/* Elements between two words to the observer: a fraction of a second of the slowest quantiser. */
#define SLICE_ELEMENTS ((size_t)1 << 22)
/* Bytes of input that may stay in memory before their pages are let go of. */
#define FORGET_BYTES ((uint64_t)64 << 20)

hone_status recoder_init(recoder *r, const recode_options *options, const model_source *source,
                         uint64_t total) {
    *r = (recoder){.options = options, .source = source, .total = total};
    TRY(kernels_get(&r->kernels));
    return pool_open(&r->pool, cpu_thread_count(options->n_threads));
}

void recoder_release(recoder *r) {
    pool_close(r->pool);
    mem_free(r->rows);
    *r = (recoder){0};
}

static hone_status make_room(recoder *r, size_t n) {
    size_t total;
    if (n <= r->row_room) return HONE_OK;
    if (!size_mul(n, (size_t)pool_threads(r->pool), &total)) return mem_fail("rows", n);
    float *rows = mem_alloc_aligned(total, sizeof *rows);
    if (!rows) return mem_fail("rows", total * sizeof *rows);
    mem_free(r->rows);
    r->rows = rows;
    r->row_room = n;
    return HONE_OK;
}

/* Rows of one tensor, from `first` on; `out` is the place of the first one. */
typedef struct row_job {
    const recoder *r;
    const tensor *from;
    const recode_change *change;
    size_t first, row_bytes;
    uint8_t *out;
    atomic_size_t first_bad; /* the lowest row that failed; SIZE_MAX: none */
} row_job;

static hone_status recode_row(row_job *job, size_t index, float *scratch) {
    const tensor *from = job->from;
    const recode_change *change = job->change;
    size_t n = from->ne[0], row = job->first + index, origin = row;
    if (change->pairs_of_head) origin = rope_row_among_halves(row, change->pairs_of_head);
    if (change->halves_of_head) origin = rope_row_among_pairs(row, change->halves_of_head);
    const void *in = tensor_row(from, origin);
    uint8_t *out = job->out + index * job->row_bytes;
    job->r->kernels->decode_row(from->type, scratch, in, n);
    if (change->add) change->add(change->user, origin, scratch);
    if (!job->r->kernels->all_within(scratch, n, -FLT_MAX, FLT_MAX)) {
        size_t i = 0;
        while (isfinite(scratch[i])) i++;
        return fail(HONE_ERR_NUMERIC, "row %zu, column %zu is %g", row, i, (double)scratch[i]);
    }
    if (change->to == from->type && !change->add) {
        memcpy(out, in, job->row_bytes);
        return HONE_OK;
    }
    const float *importance = change->importance;
    if (importance) importance += row / from->ne[1] * n;
    hone_status status = quant_encode_row(change->to, out, scratch, n, importance);
    return status == HONE_OK ? status : fail_context(status, "row %zu", row);
}

static void recode_task(void *user, size_t index, int thread) {
    row_job *job = user;
    float *scratch = job->r->rows + (size_t)thread * job->r->row_room;
    if (recode_row(job, index, scratch) == HONE_OK) return;
    size_t lowest = atomic_load(&job->first_bad);
    while (index < lowest && !atomic_compare_exchange_weak(&job->first_bad, &lowest, index)) {}
}

/* Error words belong to the thread that failed; to have them here, the row is done again. */
static hone_status run_slice(row_job *job, size_t n_rows) {
    pool_run(job->r->pool, n_rows, recode_task, job);
    size_t bad = atomic_load(&job->first_bad);
    return bad == SIZE_MAX ? HONE_OK : recode_row(job, bad, job->r->rows);
}

static hone_status tell(recoder *r, uint64_t bytes) {
    const recode_options *o = r->options;
    r->done += bytes;
    if (r->done - r->forgotten >= FORGET_BYTES) {
        source_forget(r->source);
        r->forgotten = r->done;
    }
    if (!o->observe || o->observe(o->context, r->done, r->total)) return HONE_OK;
    return fail(HONE_ERR_CANCELLED, "stopped");
}

hone_status recode_rows(recoder *r, const tensor *from, const recode_change *change, size_t offset,
                        void *out, size_t bytes) {
    row_job job = {.r = r, .from = from, .change = change, .out = out};
    atomic_init(&job.first_bad, SIZE_MAX);
    if (!dtype_get(from->type)->is_weight) {
        if (from->type != change->to || change->add)
            return fail(HONE_ERR_UNSUPPORTED, "type %s holds no weights",
                        dtype_get(from->type)->name);
        memcpy(out, (const char *)from->data + offset, bytes);
        return tell(r, bytes);
    }
    if (!dtype_row_bytes(change->to, from->ne[0], &job.row_bytes))
        return fail(HONE_ERR_UNSUPPORTED, "rows of %zu do not fit type %s", from->ne[0],
                    dtype_get(change->to)->name);
    TRY(make_room(r, from->ne[0]));
    size_t n_rows = bytes / job.row_bytes, slice = SLICE_ELEMENTS / from->ne[0] + 1;
    job.first = offset / job.row_bytes;
    for (size_t done = 0; done < n_rows; done += slice) {
        size_t n = n_rows - done < slice ? n_rows - done : slice;
        TRY(run_slice(&job, n));
        TRY(tell(r, n * from->row_bytes));
        job.first += n;
        job.out += n * job.row_bytes;
    }
    return HONE_OK;
}

hone_status recode_check_output(const char *path, const char *input, bool replace) {
    struct stat out, in;
    if (stat(path, &out) != 0) return HONE_OK;
    if (stat(input, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return fail(HONE_ERR_ARGUMENT, "%s: input and output are the same", path);
    if (!S_ISREG(out.st_mode))
        return fail(HONE_ERR_ARGUMENT, "%s is there and no plain file", path);
    if (replace) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s exists already; --force replaces it", path);
}
