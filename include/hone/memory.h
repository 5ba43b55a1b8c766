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

/* --- fitting a model into a limit --- */

/* What the program, its libraries and the stacks of its threads take beside that. */
#define HONE_PROGRAM_BYTES ((uint64_t)16 << 20)

/* Zero-initialise and set what you need. */
typedef struct hone_fit_wish {
    uint64_t memory;  /* bytes for the process; 0 = what is free now */
    size_t n_context; /* 0 = as much as fits, 4096 or the model's maximum being the wish */
    size_t n_slots;   /* 0 = 1 */
    bool exact;
    hone_adapter *const *adapters; /* that will be open beside the model */
    size_t n_adapters;
} hone_fit_wish;

/* What had to be given up, in the order in which it is. */
enum { HONE_GAVE_UP_CACHE_TYPE = 1, HONE_GAVE_UP_SLOTS = 2, HONE_GAVE_UP_CONTEXT = 4 };

typedef struct hone_fit {
    bool fits;
    unsigned gave_up;              /* HONE_GAVE_UP_… */
    hone_memory_settings settings; /* to be used; where nothing fits, the smallest that hone tries */
    hone_memory memory;            /* what these need, */
    uint64_t bytes;                /* the program itself included, */
    uint64_t limit;                /* and what there is */
} hone_fit;

/* Tries an F16 cache, then Q8_0, then fewer slots, then a shorter context (by halves, down to 512),
 * and takes the first that fits. Errors: those of hone_memory_needed. */
HONE_API hone_status hone_fit_model(hone_fit *fit, const hone_model *model,
                                    const hone_fit_wish *wish);

/* What is free now for this process: the system's available memory, and what the limits of the
 * container (cgroup v2 and v1) and of the address space leave. */
HONE_API uint64_t hone_memory_free(void);

#ifdef __cplusplus
}
#endif
#endif
