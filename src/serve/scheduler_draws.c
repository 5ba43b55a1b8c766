#include "serve/scheduler_draws.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"

typedef struct drawing {
    const served_model *served;
    const hone_request *requests; /* as they were ordered, with whom to tell */
    hone_request *by_ids;         /* [n] */
    int32_t **ids;                /* [n] */
    size_t n;
    draws_done *done;
    void *user;
} drawing;

static hone_status copy_result(hone_result *out, const hone_result *r) {
    *out = *r;
    out->text = mem_copy_string(r->text, r->n_bytes);
    out->tokens = mem_calloc(r->n_tokens + 1, sizeof *out->tokens);
    if (!out->text || !out->tokens) {
        mem_free(out->text);
        mem_free(out->tokens);
        return mem_fail("answer", r->n_bytes + r->n_tokens * sizeof *out->tokens);
    }
    if (r->n_tokens) memcpy(out->tokens, r->tokens, r->n_tokens * sizeof *out->tokens);
    return HONE_OK;
}

static hone_status take_event(drawing *d, job *j, const job_event *e) {
    const hone_request *q = &d->requests[e->index];
    if (e->kind == JOB_PIECE && q->on_piece && q->on_piece(q->user, &e->piece) != 0)
        job_cancel(j, e->index);
    if (e->kind != JOB_DONE) return HONE_OK;
    hone_result copy;
    TRY(copy_result(&copy, e->result));
    d->done(d->user, e->index, HONE_OK, &copy);
    return HONE_OK;
}

static hone_status run_job(drawing *d, const scheduler_draws *s) {
    job *j;
    for (size_t i = 0; i < d->n; i++) {
        TRY(draw_by_ids(d->served->model, &d->requests[i], &d->by_ids[i], &d->ids[i]));
        d->by_ids[i].on_piece = NULL;
    }
    TRY(job_open(&j, d->served->scheduler, s->x, s->client, d->by_ids, d->n));
    hone_status status = HONE_OK;
    while (status == HONE_OK && !job_is_done(j)) {
        job_event e;
        status = job_next(j, &e);
        if (status == HONE_OK && e.kind != JOB_NOTHING) status = take_event(d, j, &e);
    }
    job_close(j);
    return status;
}

static hone_status run(void *self, size_t model, const hone_request *requests, size_t n,
                       draws_done *done, void *user) {
    const scheduler_draws *s = self;
    drawing d = {.served = &s->served[model], .requests = requests, .n = n, .done = done,
                 .user = user};
    d.by_ids = mem_calloc(n, sizeof *d.by_ids);
    d.ids = mem_calloc(n, sizeof *d.ids);
    hone_status status = d.by_ids && d.ids ? run_job(&d, s)
                                           : mem_fail("draws", n * sizeof *d.by_ids);
    for (size_t i = 0; d.ids && i < n; i++) hone_free(d.ids[i]);
    mem_free(d.by_ids);
    mem_free(d.ids);
    return status;
}

static const hone_model *model_of(void *self, size_t model) {
    const scheduler_draws *d = self;
    return d->served[model].model;
}

static hone_status token_text(void *self, size_t model, int32_t id, char **text) {
    size_t n;
    return hone_detokenize(model_of(self, model), &id, 1, false, text, &n);
}

draw_service scheduler_draws_service(scheduler_draws *d) {
    return (draw_service){d, d->n_served, run, model_of, token_text};
}
