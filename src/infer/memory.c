/* The arithmetic of memory (include/hone/memory.h): the sizes that opening, sessions, passes and
 * the sampler ask for. */
#include "hone/memory.h"

#include "base/system.h"
#include "infer/engine.h"
#include "infer/sampler.h"

/* A mapped file is read in pieces of this size around the byte that was wanted. */
#define FAULT_BYTES 65536

uint64_t hone_memory_free(void) { return system_look_at_memory("").left; }

/* A head is read in full for each token; an embedding of its own only where tokens are. */
static uint64_t weights_read(const hone_model *m, size_t n_tokens) {
    uint64_t all = source_file_bytes(&m->source);
    const tensor *e = &m->net.embedding;
    if (e->data == m->net.output.data) return all;
    uint64_t table = (uint64_t)e->ne[1] * e->row_bytes;
    uint64_t piece = e->row_bytes > FAULT_BYTES ? e->row_bytes : FAULT_BYTES;
    return n_tokens >= table / piece ? all : all - table + n_tokens * piece;
}

/* Buffers of a pass of n_tokens tokens behind a full context, and the threads' scratch. */
static uint64_t pass_bytes(const hone_model *m, const hone_memory_settings *s,
                           const kv_layout *layout, size_t n_tokens) {
    kv_cache cache = {.layout = *layout};
    size_t position = s->n_context > n_tokens ? s->n_context - n_tokens : 0, scratch, per_thread;
    const kv_segment segment = {.kv = &cache, .n_tokens = n_tokens, .position = position};
    llama_forward_bytes(&m->net, &m->compute, &segment, s->exact || s->n_adapters > 0, &scratch,
                        &per_thread);
    return scratch + (uint64_t)per_thread * (uint64_t)pool_threads(m->compute.pool);
}

static uint64_t activation_bytes(const hone_model *m, const hone_memory_settings *s,
                                 const kv_layout *layout) {
    uint64_t row = (uint64_t)m->net.h.n_vocab * sizeof(float);
    uint64_t prefill = pass_bytes(m, s, layout, s->prefill_chunk);
    uint64_t decode = pass_bytes(m, s, layout, s->n_slots);
    /* Each session has the logits of its last step and a row for the next one; the model has those
     * of a pass; each generation has a sampler. */
    size_t n_rows = s->n_slots < LOGIT_ROWS_PER_PASS ? s->n_slots : LOGIT_ROWS_PER_PASS;
    uint64_t logits = (2 * s->n_slots + n_rows) * row;
    return (prefill > decode ? prefill : decode) + logits +
           s->n_slots * (uint64_t)sampler_bytes(m->net.h.n_vocab);
}

static uint64_t cache_bytes(const hone_memory_settings *s, const kv_layout *layout) {
    uint64_t n_pages = (s->n_context + KV_PAGE - 1) / KV_PAGE;
    uint64_t history = s->n_context * sizeof(int32_t);
    return s->n_slots * (n_pages * kv_page_bytes(layout) + history);
}

/* Zeroes of the settings get their meaning. */
static hone_status complete(hone_memory_settings *s, const hone_model *m) {
    TRY(model_wants_family(m, FAMILY_LLAMA));
    size_t most = m->net.h.n_context;
    if (s->n_context > most)
        return fail(HONE_ERR_ARGUMENT,
                    "a context of %zu tokens is too long: this model was made for at most %zu",
                    s->n_context, most);
    if (s->n_context == 0) s->n_context = most;
    if (s->n_slots == 0) s->n_slots = 1;
    if (s->prefill_chunk == 0) s->prefill_chunk = DEFAULT_CHUNK;
    if (s->prefill_chunk > s->n_context) s->prefill_chunk = s->n_context;
    return HONE_OK;
}

hone_status hone_memory_needed(hone_memory *memory, const hone_model *m,
                               const hone_memory_settings *settings) {
    hone_memory_settings s = *settings;
    kv_layout layout;
    TRY(complete(&s, m));
    TRY(session_kv_layout(&layout, m, s.kv, s.exact));
    hone_memory need = {
        .mapped = source_file_bytes(&m->source),
        .weights = weights_read(m, s.n_context * s.n_slots),
        .kv = cache_bytes(&s, &layout),
        .activations = activation_bytes(m, &s, &layout),
        .tables = tokenizer_bytes(m->tokenizer) + llama_vector_bytes(&m->net) +
                  source_table_bytes(&m->source),
    };
    for (size_t i = 0; i < s.n_adapters; i++) need.adapters += s.adapters[i]->weights->bytes;
    need.resident = need.weights + need.kv + need.activations + need.tables + need.adapters;
    *memory = need;
    return HONE_OK;
}
