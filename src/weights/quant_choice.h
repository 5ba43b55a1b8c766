/* A type for each tensor by what it costs: the least loss for a size, or the least size for a loss.
 *
 * A tensor's loss is s · E: E the error of a type on it, Σ importance · (x − x̂)², and s how much
 * of it reaches the output. s is measured: the tensor alone gets an enlarged error, and the mean KL
 * divergence of the model's answers, divided by E, is s (in every fourth layer; between them it is
 * interpolated). For small errors KL is quadratic in them, so that losses of the tensors add up;
 * then for any price of a byte each tensor's best type is its own affair (Lagrange; Shoham & Gersho
 * 1988), and the price is searched that meets the size or the loss. */
#ifndef WEIGHTS_QUANT_CHOICE_H
#define WEIGHTS_QUANT_CHOICE_H

#include "hone/hone.h"
#include "tensor/dtype.h"
#include "weights/imatrix.h"

/* What one of a tensor's types would cost. */
typedef struct choice_offer {
    dtype type;
    uint64_t bytes;
    double loss; /* mean KL, nats */
} choice_offer;

enum { CHOICE_MAX_OFFERS = 12 };

typedef struct choice_tensor {
    char name[64];
    size_t index; /* among the file's tensors */
    choice_offer offers[CHOICE_MAX_OFFERS];
    size_t n_offers, chosen;
    double sensitivity;
} choice_tensor;

typedef struct quant_choice {
    choice_tensor *tensors; /* the matrices */
    size_t n;
    dtype *types; /* [n_types] of all of the file's tensors, for quantise_plan */
    size_t n_types;
    uint64_t fixed_bytes; /* of the file, but for the matrices */
} quant_choice;

typedef struct choice_options {
    int n_threads;             /* 0 = one for each usable core */
    const imatrix *importance; /* NULL: every column counts the same */
    const char *text;          /* read to measure sensitivities; its first 193 tokens */
    size_t n_bytes;
    bool (*observe)(void *context, size_t done,
                    size_t total); /* of tensors; false cancels; or NULL */
    void *context;
} choice_options;

/* Measures all matrices of the GGUF file at `path`, which must be a text model that hone runs.
 * Release *c after success. */
hone_status quant_choice_measure(quant_choice *c, const char *path, const choice_options *options);
void quant_choice_release(quant_choice *c);

/* Chooses for a file of at most that many bytes: false where even the smallest types take more, and
 * the choice is that. */
bool quant_choice_by_size(quant_choice *c, uint64_t bytes);
/* Chooses the smallest file whose losses add up to `loss` at most; false where none does. */
bool quant_choice_by_loss(quant_choice *c, double loss);

/* What is chosen now. */
uint64_t quant_choice_bytes(const quant_choice *c);
double quant_choice_loss(const quant_choice *c);

#endif
