/* What this machine can do at most: how fast threads read memory, and how fast they multiply.
 * Speeds of models are judged beside it: decoding cannot be faster than its weights are read,
 * prefill not faster than its products are computed. */
#ifndef HONE_LIMITS_H
#define HONE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kernels that compute here: "avx2", "avx512-vnni", … HONE_ERR_ARGUMENT or HONE_ERR_UNSUPPORTED
 * when HONE_CPU asks for what there is not. */
HONE_API hone_status hone_instruction_set(const char **name);

#define HONE_LIMIT_STREAMS 4

/* Rates of all threads together. Operations count a multiply-add as two. 0 = the instruction set
 * in use (HONE_CPU) has no such instruction. */
typedef struct hone_limits {
    int n_threads;
    /* Reading a buffer beyond all caches, each thread through 1, 2, 4, 8 places at once; and the
     * best of them. */
    double read_bytes_per_s[HONE_LIMIT_STREAMS], best_read_bytes_per_s;
    double int8_ops_per_s; /* products of bytes, added up */
    double bf16_ops_per_s; /* products of BF16 pairs into floats */
    double f32_ops_per_s;  /* fused multiply-adds of floats */
    const char *int8_name, *bf16_name, *f32_name; /* the instructions, "" where there are none */
    uint64_t cache_bytes; /* the largest cache; 0 = unknown */
    uint64_t buffer_bytes;
} hone_limits;

/* Takes about a second and, while it runs, memory of four times the largest cache (at least 256
 * MiB, at most an eighth of the memory). Each rate is the best of several rounds. HONE_ERR_ARGUMENT
 * when n_threads is not 1 to 1024, HONE_ERR_MEMORY. */
HONE_API hone_status hone_measure_limits(hone_limits *limits, int n_threads);

#ifdef __cplusplus
}
#endif
#endif
