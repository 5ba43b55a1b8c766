/* A low-rank adapter (LoRA, Hu et al. 2021) as its files say it: W becomes W + scale · B · A.
 *
 * Two forms (docs/adapters.md): PEFT's folder, adapter_config.json and adapter_model.safetensors,
 * and GGUF with general.type "adapter". Both come out as pairs of matrices under the GGUF name of
 * the weight that they change. Nothing is known of the base model here: model/lora.h joins the two.
 * The readers of parsed files are pure and fuzzed. */
#ifndef MODEL_LORA_FILE_H
#define MODEL_LORA_FILE_H

#include "base/json.h"
#include "format/gguf.h"
#include "format/safetensors.h"

/* Larger ranks than this are refused; 256 is already unusual. */
#define LORA_MAX_RANK 4096

typedef struct lora_pair {
    char name[64]; /* "blk.0.attn_q.weight" */
    tensor a, b;   /* [rank, n_in], [n_out, rank] */
    float scale;   /* alpha / rank, or alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023) */
} lora_pair;

typedef struct lora_file {
    char *path;
    lora_pair *pairs; /* complete: each has both matrices of one rank */
    size_t n_pairs;
    bool is_gguf;          /* rows of B in the order of a GGUF base */
    char architecture[64]; /* of the base, as GGUF says it; "" where the file does not say */
    char base_name[256];   /* what PEFT calls the base; for error sentences; may be "" */
    gguf *gguf;            /* either this, or the next two; owned */
    safetensors *weights;
    json_t *config;
} lora_file;

/* `path`: a folder, or a GGUF file. What the adapter asks for and hone does not do (biases, DoRA,
 * whole modules beside the matrices, …) is HONE_ERR_UNSUPPORTED and named. */
hone_status lora_file_open(lora_file *f, const char *path);
void lora_file_release(lora_file *f);

/* Fill pairs and what else the file says; f->path stands for the file in errors. The views point
 * into what was parsed. Release f in any case. */
hone_status lora_file_read_peft(lora_file *f, const json_t *config, const safetensors *weights);
hone_status lora_file_read_gguf(lora_file *f, const gguf *file);

#endif
