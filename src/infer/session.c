/* Sessions and steps (include/hone/session.h). */
#include <string.h>

#include "base/mem.h"
#include "infer/engine.h"
#include "infer/logprobs.h"

/* --- life --- */

hone_status session_kv_layout(kv_layout *layout, const hone_model *m, hone_kv_type kv, bool exact) {
    static const dtype types[] = {
        [HONE_KV_F16] = DTYPE_F16, [HONE_KV_F32] = DTYPE_F32, [HONE_KV_Q8_0] = DTYPE_Q8_0};
    const hparams *h = &m->net.h;
    if ((unsigned)kv >= sizeof types / sizeof *types)
        return fail(HONE_ERR_ARGUMENT, "unknown cache type %d", (int)kv);
    return kv_layout_init(layout, exact ? DTYPE_F32 : types[kv], h->n_layers, h->n_kv_heads,
                          h->head_dim);
}

hone_status hone_session_open(hone_session **session, hone_model *model,
                              const hone_session_options *options) {
    TRY(model_wants_family(model, FAMILY_LLAMA));
    hone_session_options o = options ? *options : (hone_session_options){0};
    const hparams *h = &model->net.h;
    if (o.n_context > h->n_context)
        return fail(HONE_ERR_ARGUMENT,
                    "a context of %zu tokens is too long: this model was made for at most %zu",
                    o.n_context, h->n_context);
    kv_layout layout;
    TRY(session_kv_layout(&layout, model, o.kv, o.exact));
    hone_session *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("session", sizeof *s);
    s->model = model;
    s->n_context = o.n_context ? o.n_context : h->n_context;
    s->prefill_chunk = o.prefill_chunk ? o.prefill_chunk : DEFAULT_CHUNK;
    if (s->prefill_chunk > s->n_context) s->prefill_chunk = s->n_context;
    s->exact = o.exact;
    kv_init(&s->kv, &layout);
    *session = s;
    return HONE_OK;
}

void hone_session_close(hone_session *s) {
    if (!s) return;
    lora_set_release(s->adapters);
    kv_release(&s->kv);
    mem_free(s->tokens);
    mem_free(s->logits);
    mem_free(s->next_logits);
    mem_free(s);
}

static hone_status reserve_tokens(hone_session *s, size_t n) {
    return mem_grow(&s->tokens, &s->tokens_capacity, n, sizeof *s->tokens, "token history");
}

static hone_status reserve_rows(float **rows, size_t *capacity, size_t n_rows, size_t n_vocab) {
    if (n_rows <= *capacity) return HONE_OK;
    mem_free(*rows);
    *capacity = 0;
    *rows = mem_alloc_aligned(n_rows, n_vocab * sizeof **rows);
    if (!*rows) return mem_fail("logits", n_rows * n_vocab * sizeof **rows);
    *capacity = n_rows;
    return HONE_OK;
}

const float *session_last_logits(const hone_session *s) {
    return s->n_rows ? s->logits + (s->n_rows - 1) * s->model->net.h.n_vocab : NULL;
}

static hone_status copy_into(hone_session *to, const hone_session *from) {
    size_t n_vocab = from->model->net.h.n_vocab;
    TRY(kv_share(&to->kv, &from->kv, from->n_tokens));
    TRY(reserve_tokens(to, from->n_tokens));
    if (from->n_tokens) memcpy(to->tokens, from->tokens, from->n_tokens * sizeof *to->tokens);
    to->n_tokens = from->n_tokens;
    const float *last = session_last_logits(from);
    if (!last) return HONE_OK;
    TRY(reserve_rows(&to->logits, &to->capacity, 1, n_vocab));
    memcpy(to->logits, last, n_vocab * sizeof *last);
    to->n_rows = 1;
    return HONE_OK;
}

hone_status hone_session_fork(hone_session **child, const hone_session *parent) {
    hone_session *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("session", sizeof *s);
    s->model = parent->model;
    s->n_context = parent->n_context;
    s->prefill_chunk = parent->prefill_chunk;
    s->exact = parent->exact;
    s->adapters = lora_set_share(parent->adapters);
    hone_status status = copy_into(s, parent);
    if (status != HONE_OK) {
        hone_session_close(s);
        return status;
    }
    *child = s;
    return HONE_OK;
}

hone_status hone_session_rewind(hone_session *s, size_t n_tokens) {
    if (n_tokens > s->n_tokens)
        return fail(HONE_ERR_ARGUMENT, "cannot rewind to %zu of %zu tokens", n_tokens, s->n_tokens);
    if (n_tokens == s->n_tokens) return HONE_OK;
    s->n_tokens = n_tokens;
    s->n_rows = s->n_states = 0;
    kv_truncate(&s->kv, n_tokens);
    return HONE_OK;
}

const int32_t *hone_session_tokens(const hone_session *s, size_t *n_tokens) {
    *n_tokens = s->n_tokens;
    return s->tokens;
}

size_t hone_session_context(const hone_session *s) { return s->n_context; }
hone_model *hone_session_model(const hone_session *s) { return s->model; }
uint64_t hone_session_kv_bytes(const hone_session *s) { return kv_bytes(&s->kv); }
uint64_t hone_session_kv_share(const hone_session *s) { return kv_owned_bytes(&s->kv); }

void hone_session_cancel(hone_session *s) { atomic_store(&s->cancelled, true); }
void hone_session_uncancel(hone_session *s) { atomic_store(&s->cancelled, false); }
bool hone_session_is_cancelled(const hone_session *s) { return atomic_load(&s->cancelled); }

const float *hone_session_logits(const hone_session *s, size_t index) {
    return index < s->n_rows ? s->logits + index * s->model->net.h.n_vocab : NULL;
}

const float *hone_session_states(const hone_session *s, size_t index) {
    return index < s->n_states ? s->logits + index * s->model->net.h.n_embd : NULL;
}

/* --- stepping --- */

/* One call of hone_step: what each item has had so far, and the pass being put together. */
typedef struct stepping {
    hone_model *model;
    const hone_step_item *items;
    size_t n_items;
    size_t chunk;                          /* most tokens in a pass */
    uint32_t rows[LOGIT_ROWS_PER_PASS];    /* tokens of the pass whose logits are wanted, */
    size_t row_items[LOGIT_ROWS_PER_PASS]; /* and the items that they belong to */
} stepping;

static bool any_cancelled(void *user) {
    const stepping *st = user;
    for (size_t i = 0; i < st->n_items; i++)
        if (atomic_load(&st->items[i].session->cancelled)) return true;
    return false;
}

/* Rows of n_vocab floats that an item's results take. */
static size_t rows_wanted(const hone_step_item *item) {
    const hparams *h = &item->session->model->net.h;
    switch (item->logits) {
    case HONE_LOGITS_ALL: return item->n_tokens;
    case HONE_LOGITS_STATES: return (item->n_tokens * h->n_embd + h->n_vocab - 1) / h->n_vocab;
    default: return item->logits == HONE_LOGITS_LAST;
    }
}

static hone_status check_tokens(const hone_session *s, const int32_t *tokens, size_t n) {
    size_t n_vocab = s->model->net.h.n_vocab;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= n_vocab)
            return fail(HONE_ERR_ARGUMENT, "token id %d is outside the vocabulary of %zu",
                        (int)tokens[i], n_vocab);
    return HONE_OK;
}

static hone_status check_item(const hone_step_item *item, const hone_session *first) {
    const hone_session *s = item->session;
    if (s->model != first->model || s->exact != first->exact ||
        s->kv.layout.type != first->kv.layout.type)
        return fail(HONE_ERR_ARGUMENT,
                    "sessions of one step must share model, exact mode and cache type");
    if (item->n_tokens == 0) return fail(HONE_ERR_ARGUMENT, "a step without tokens");
    if (item->n_tokens > s->n_context - s->n_tokens)
        return fail(HONE_ERR_CONTEXT_FULL, "%zu tokens after %zu do not fit into a context of %zu",
                    item->n_tokens, s->n_tokens, s->n_context);
    return check_tokens(s, item->tokens, item->n_tokens);
}

static hone_status check_items(const hone_step_item *items, size_t n_items) {
    for (size_t i = 0; i < n_items; i++) {
        TRY(check_item(&items[i], items[0].session));
        for (size_t j = 0; j < i; j++)
            if (items[i].session == items[j].session)
                return fail(HONE_ERR_ARGUMENT, "a session appears twice in one step");
    }
    return HONE_OK;
}

/* Room for the step's own lists, kept by the model from step to step. */
static hone_status reserve_lists(stepping *st) {
    hone_model *m = st->model;
    if (st->chunk > m->n_pass_tokens) {
        int32_t *tokens = mem_realloc(m->pass_tokens, st->chunk, sizeof *tokens);
        if (!tokens) return mem_fail("step", st->chunk * sizeof *tokens);
        m->pass_tokens = tokens;
        m->n_pass_tokens = st->chunk;
    }
    if (st->n_items > m->n_step_items) {
        kv_segment *segments = mem_realloc(m->segments, st->n_items, sizeof *segments);
        if (!segments) return mem_fail("step", st->n_items * sizeof *segments);
        m->segments = segments;
        float **states = mem_realloc(m->states, st->n_items, sizeof *states);
        if (!states) return mem_fail("step", st->n_items * sizeof *states);
        m->states = states;
        lora_group *adapters = mem_realloc(m->adapters, st->n_items, sizeof *adapters);
        if (!adapters) return mem_fail("step", st->n_items * sizeof *adapters);
        m->adapters = adapters;
        step_progress *progress = mem_realloc(m->progress, st->n_items, sizeof *progress);
        if (!progress) return mem_fail("step", st->n_items * sizeof *progress);
        m->progress = progress;
        size_t *order = mem_realloc(m->order, st->n_items, sizeof *order);
        if (!order) return mem_fail("step", st->n_items * sizeof *order);
        m->order = order;
        m->n_step_items = st->n_items;
    }
    memset(m->progress, 0, st->n_items * sizeof *m->progress);
    return HONE_OK;
}

/* Items with the same adapters follow each other in a pass, so that these are read once. */
static void order_items(stepping *st) {
    size_t *order = st->model->order, n = 0;
    for (size_t i = 0; i < st->n_items; i++) {
        const lora_set *set = st->items[i].session->adapters;
        size_t at = n++;
        while (at > 0 && !lora_set_equal(st->items[order[at - 1]].session->adapters, set)) at--;
        if (at == 0) at = n - 1; /* the first with this set */
        memmove(order + at + 1, order + at, (n - 1 - at) * sizeof *order);
        order[at] = i;
    }
}

/* All memory that the step will need, so that nothing can fail half-way but the computation. */
static hone_status reserve_step(stepping *st) {
    TRY(reserve_lists(st));
    order_items(st);
    size_t n_vocab = st->model->net.h.n_vocab, n_rows = 0;
    for (size_t i = 0; i < st->n_items; i++) {
        hone_session *s = st->items[i].session;
        size_t end = s->n_tokens + st->items[i].n_tokens, rows = rows_wanted(&st->items[i]);
        TRY(reserve_tokens(s, end));
        TRY(kv_reserve(&s->kv, s->n_tokens, end));
        TRY(reserve_rows(&s->next_logits, &s->next_capacity, rows, n_vocab));
        if (st->items[i].logits != HONE_LOGITS_STATES) n_rows += rows;
    }
    if (n_rows > LOGIT_ROWS_PER_PASS) n_rows = LOGIT_ROWS_PER_PASS;
    size_t capacity = st->model->n_logit_floats / n_vocab;
    hone_status status = reserve_rows(&st->model->logits, &capacity, n_rows, n_vocab);
    st->model->n_logit_floats = capacity * n_vocab;
    return status;
}

/* Says that the last n_tokens of the pass belong to the session. */
static void add_adapters(hone_model *m, llama_batch *b, const hone_session *s, size_t n_tokens) {
    size_t first = b->n_tokens - n_tokens;
    lora_group *last = b->n_adapters ? &m->adapters[b->n_adapters - 1] : NULL;
    if (!s->adapters) return;
    if (last && last->first + last->n_tokens == first && lora_set_equal(last->set, s->adapters))
        last->n_tokens += n_tokens;
    else
        m->adapters[b->n_adapters++] = (lora_group){first, n_tokens, s->adapters};
}

/* Takes tokens from the items, in the model's order, until the pass is full. */
static void fill_pass(stepping *st, llama_batch *b) {
    hone_model *m = st->model;
    for (size_t turn = 0; turn < st->n_items && b->n_tokens < st->chunk; turn++) {
        size_t i = m->order[turn];
        const hone_step_item *item = &st->items[i];
        size_t *done = &m->progress[i].n_tokens;
        size_t take = item->n_tokens - *done, room = st->chunk - b->n_tokens;
        if (take > room) take = room;
        size_t rows_left = LOGIT_ROWS_PER_PASS - b->n_logit_rows;
        if (item->logits == HONE_LOGITS_ALL && take > rows_left) take = rows_left;
        bool ends = *done + take == item->n_tokens;
        if (item->logits == HONE_LOGITS_LAST && ends && rows_left == 0) take--;
        if (take == 0) continue;
        ends = *done + take == item->n_tokens;
        m->states[b->n_segments] = item->logits == HONE_LOGITS_STATES
                                       ? item->session->next_logits + *done * m->net.h.n_embd
                                       : NULL;
        m->segments[b->n_segments++] = (kv_segment){.kv = &item->session->kv, .first = b->n_tokens,
            .n_tokens = take, .position = item->session->n_tokens + *done};
        for (size_t t = 0; t < take; t++) {
            bool wanted = item->logits == HONE_LOGITS_ALL ||
                          (item->logits == HONE_LOGITS_LAST && ends && t == take - 1);
            if (wanted) {
                st->row_items[b->n_logit_rows] = i;
                st->rows[b->n_logit_rows++] = (uint32_t)(b->n_tokens + t);
            }
            m->pass_tokens[b->n_tokens + t] = item->tokens[*done + t];
        }
        b->n_tokens += take;
        add_adapters(m, b, item->session, take);
        *done += take;
    }
}

static bool all_finite(const float *x, size_t n) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !bad;
}

/* The rows of a pass on their way to the sessions. Eight rows of 150,000 are 5 MB: a millisecond
 * for one thread, while a step takes some tens. */
typedef struct logit_rows {
    const float *from; /* [rows, n_vocab] */
    float *to[LOGIT_ROWS_PER_PASS];
    size_t n_vocab;
    atomic_bool damaged;
} logit_rows;

enum { LOGITS_PER_TASK = 16 << 10 };

static size_t tasks_of_row(size_t n_vocab) {
    return (n_vocab + LOGITS_PER_TASK - 1) / LOGITS_PER_TASK;
}

static void copy_logits(void *user, size_t index, int thread) {
    (void)thread;
    logit_rows *rows = user;
    size_t row = index / tasks_of_row(rows->n_vocab);
    size_t begin = index % tasks_of_row(rows->n_vocab) * LOGITS_PER_TASK;
    size_t n = rows->n_vocab - begin < LOGITS_PER_TASK ? rows->n_vocab - begin : LOGITS_PER_TASK;
    const float *from = rows->from + row * rows->n_vocab + begin;
    if (!all_finite(from, n)) atomic_store(&rows->damaged, true);
    memcpy(rows->to[row] + begin, from, n * sizeof *from);
}

static hone_status hand_out_logits(stepping *st, size_t n_rows) {
    hone_model *m = st->model;
    logit_rows rows = {.from = m->logits, .n_vocab = m->net.h.n_vocab};
    for (size_t r = 0; r < n_rows; r++) {
        size_t i = st->row_items[r];
        rows.to[r] = st->items[i].session->next_logits + m->progress[i].n_rows++ * rows.n_vocab;
    }
    op_parallel(&m->compute, n_rows * tasks_of_row(rows.n_vocab), copy_logits, &rows);
    if (!rows.damaged) return HONE_OK;
    return fail(HONE_ERR_NUMERIC,
                "%s: the logits are not finite numbers: the weights may be damaged",
                m->source.path);
}

static hone_status run_pass(stepping *st, bool *more) {
    hone_model *m = st->model;
    llama_batch b = {.tokens = m->pass_tokens, .segments = m->segments, .states = m->states,
                     .logit_rows = st->rows, .adapters = m->adapters,
                     .exact = st->items[0].session->exact, .logits = m->logits,
                     .cancelled = any_cancelled, .user = st};
    fill_pass(st, &b);
    *more = b.n_tokens > 0;
    if (!*more) return HONE_OK;
    TRY(llama_forward(&m->net, &m->compute, &m->scratch, &b));
    return hand_out_logits(st, b.n_logit_rows);
}

static void commit_item(const hone_step_item *item, size_t n_rows) {
    hone_session *s = item->session;
    memcpy(s->tokens + s->n_tokens, item->tokens, item->n_tokens * sizeof *s->tokens);
    s->n_tokens += item->n_tokens;
    float *logits = s->logits;
    size_t capacity = s->capacity;
    s->logits = s->next_logits;
    s->capacity = s->next_capacity;
    s->next_logits = logits;
    s->next_capacity = capacity;
    s->n_rows = n_rows;
    s->n_states = item->logits == HONE_LOGITS_STATES ? item->n_tokens : 0;
}

static hone_status compute_step(stepping *st) {
    TRY(reserve_step(st));
    for (bool more = true; more;) TRY(run_pass(st, &more));
    return HONE_OK;
}

static hone_status run_step(stepping *st) {
    TRY(check_items(st->items, st->n_items));
    hone_status status = compute_step(st);
    if (status != HONE_OK) /* pages that were added go back */
        for (size_t i = 0; i < st->n_items; i++)
            kv_truncate(&st->items[i].session->kv, st->items[i].session->n_tokens);
    TRY(status);
    for (size_t i = 0; i < st->n_items; i++)
        commit_item(&st->items[i], st->model->progress[i].n_rows);
    return HONE_OK;
}

hone_status hone_step(const hone_step_item *items, size_t n_items) {
    if (n_items == 0) return fail(HONE_ERR_ARGUMENT, "a step without sessions");
    stepping st = {.model = items[0].session->model, .items = items, .n_items = n_items,
                   .chunk = items[0].session->prefill_chunk};
    pthread_mutex_lock(&st.model->lock);
    hone_status status = run_step(&st);
    pthread_mutex_unlock(&st.model->lock);
    return status;
}

/* --- programs over steps --- */

static size_t common_prefix(const hone_session *s, const int32_t *tokens, size_t n) {
    size_t same = 0, most = n < s->n_tokens ? n : s->n_tokens;
    while (same < most && s->tokens[same] == tokens[same]) same++;
    return same;
}

hone_status session_reuse_prefix(hone_session *s, const int32_t *tokens, size_t n_tokens,
                                 size_t *n_reused) {
    if (n_tokens == 0) return fail(HONE_ERR_ARGUMENT, "an empty prompt");
    if (n_tokens > s->n_context)
        return fail(HONE_ERR_CONTEXT_FULL, "the prompt has %zu tokens, the context holds %zu",
                    n_tokens, s->n_context);
    TRY(check_tokens(s, tokens, n_tokens));
    size_t done = common_prefix(s, tokens, n_tokens);
    bool has_logits = done == s->n_tokens && s->n_rows > 0;
    if (done == n_tokens && !has_logits) done--; /* the last one again, for its logits */
    *n_reused = done;
    return hone_session_rewind(s, done);
}

hone_status hone_prefill(hone_session *s, const int32_t *tokens, size_t n_tokens, size_t *n_reused,
                         void (*progress)(void *user, size_t done, size_t total), void *user) {
    size_t done;
    TRY(session_reuse_prefix(s, tokens, n_tokens, &done));
    if (n_reused) *n_reused = done;
    while (done < n_tokens) {
        size_t n = n_tokens - done < s->prefill_chunk ? n_tokens - done : s->prefill_chunk;
        hone_logits logits = done + n < n_tokens ? HONE_LOGITS_NONE : HONE_LOGITS_LAST;
        TRY(hone_step(&(hone_step_item){s, tokens + done, n, logits}, 1));
        done += n;
        if (progress) progress(user, done, n_tokens);
    }
    return HONE_OK;
}

hone_status hone_score(hone_session *s, const int32_t *tokens, size_t n_tokens, double *logprobs) {
    size_t n_vocab = s->model->net.h.n_vocab;
    if (s->n_tokens == 0) return fail(HONE_ERR_ARGUMENT, "nothing before the text to score");
    if (n_tokens > s->n_context - s->n_tokens)
        return fail(HONE_ERR_CONTEXT_FULL, "%zu tokens after %zu do not fit into a context of %zu",
                    n_tokens, s->n_tokens, s->n_context);
    TRY(check_tokens(s, tokens, n_tokens));
    if (!session_last_logits(s)) {
        int32_t last = s->tokens[s->n_tokens - 1];
        TRY(hone_session_rewind(s, s->n_tokens - 1));
        TRY(hone_step(&(hone_step_item){s, &last, 1, HONE_LOGITS_LAST}, 1));
    }
    for (size_t done = 0; done < n_tokens;) {
        size_t n = n_tokens - done < LOGIT_ROWS_PER_PASS ? n_tokens - done : LOGIT_ROWS_PER_PASS;
        logprobs[done] = logits_logprob(session_last_logits(s), n_vocab, tokens[done]);
        TRY(hone_step(&(hone_step_item){s, tokens + done, n, HONE_LOGITS_ALL}, 1));
        for (size_t i = 1; i < n; i++)
            logprobs[done + i] = logits_logprob(hone_session_logits(s, i - 1), n_vocab,
                                                tokens[done + i]);
        done += n;
    }
    return HONE_OK;
}

hone_status hone_top_logprobs(const hone_session *s, size_t k, int32_t *ids, double *logprobs) {
    const float *logits = session_last_logits(s);
    if (!logits) return fail(HONE_ERR_ARGUMENT, "the session has no logits yet");
    if (k > s->model->net.h.n_vocab)
        return fail(HONE_ERR_ARGUMENT, "%zu alternatives of %zu tokens", k,
                    s->model->net.h.n_vocab);
    logits_top(logits, s->model->net.h.n_vocab, k, ids, logprobs);
    return HONE_OK;
}
