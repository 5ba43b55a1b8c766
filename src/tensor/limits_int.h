/* Loops that do nothing but read, or nothing but multiply: one set for each instruction set. */
#ifndef TENSOR_LIMITS_INT_H
#define TENSOR_LIMITS_INT_H

#include "tensor/kernels_int.h"

/* Multiplies `rounds` times with all the registers that it takes to keep the units busy; returns
 * the operations done. `name` is the instruction. */
typedef struct limit_loop {
    const char *name;
    double (*run)(size_t rounds);
} limit_loop;

typedef struct limit_loops {
    /* Reads all of p[bytes], through n_streams = 1, 2, 4 or 8 places at once. `bytes` is a multiple
     * of 8 · 128, `p` aligned to 64. */
    void (*read)(const char *p, size_t bytes, int n_streams);
    limit_loop int8, bf16, f32; /* run = NULL: there is none */
} limit_loops;

/* As kernels_fill_…: each lays its loops over those of the sets below it. */
void limit_loops_fill_scalar(limit_loops *l);
void limit_loops_fill_avx2(limit_loops *l);
void limit_loops_fill_avx512(limit_loops *l, unsigned extras);
void limit_loops_fill_neon(limit_loops *l);

/* The streams of a read: LIMIT_READ_LINE(p) reads 128 bytes. */
#define LIMIT_READ(p, bytes, streams)                                  \
    do {                                                               \
        const size_t apart_ = (bytes) / (streams);                     \
        for (size_t i_ = 0; i_ < apart_; i_ += 128)                    \
            for (int s_ = 0; s_ < (streams); s_++) {                   \
                LIMIT_READ_LINE((p) + (size_t)s_ * apart_ + i_);       \
            }                                                          \
    } while (0)

#define LIMIT_READ_STREAMS(p, bytes, n_streams)           \
    switch (n_streams) {                                  \
    case 1: LIMIT_READ(p, bytes, 1); break;               \
    case 2: LIMIT_READ(p, bytes, 2); break;               \
    case 4: LIMIT_READ(p, bytes, 4); break;               \
    default: LIMIT_READ(p, bytes, 8); break;              \
    }

#endif
