/* How much memory a model will need, before it does: for plans, for limits, for choosing among
 * files. The numbers are those of the allocations that opening, prefilling and decoding make; the
 * resident total is right within 3 % of what the system counts afterwards (docs/memory.md). */
#ifndef HONE_MEMORY_H
#define HONE_MEMORY_H

#include "hone/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise and set what you need. */
typedef struct hone_memory_settings {
    size_t n_context;     /* tokens of each slot; 0 = the model's maximum */
    size_t n_slots;       /* sessions that decode together; 0 = 1 */
    hone_kv_type kv;      /* F32 in the exact mode */
    bool exact;
    size_t prefill_chunk; /* 0 = 512 */
    hone_adapter *const *adapters; /* that are open beside the model … */
    size_t n_adapters;
} hone_memory_settings;

/* Bytes. All but the first are resident, and add up to the last. */
typedef struct hone_memory {
    uint64_t mapped;      /* the model's files: the address space that they take */
    uint64_t weights;     /* of these, what computing reads; other processes share it */
    uint64_t kv;          /* the caches of all slots, filled */
    uint64_t activations; /* buffers of a pass, scratch of the threads, logits, sampling */
    uint64_t tables;      /* tokenizer, norms, what describes the tensors */
    uint64_t adapters;
    uint64_t resident;
} hone_memory;

/* For any model that is open, also one opened with describe_only. HONE_ERR_ARGUMENT for a context
 * that is longer than the model's, HONE_ERR_UNSUPPORTED for a cache type that does not fit the
 * heads and for speech models. */
HONE_API hone_status hone_memory_needed(hone_memory *memory, const hone_model *model,
                                        const hone_memory_settings *settings);

/* What is free now for this process: the system's available memory, and what the limits of the
 * container (cgroup v2 and v1) and of the address space leave. */
HONE_API uint64_t hone_memory_free(void);

#ifdef __cplusplus
}
#endif
#endif
