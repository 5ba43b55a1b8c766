/* Tensor names in GGUF files and in Hugging Face folders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/source.h"

typedef struct name_pair {
    const char *gguf, *folder;
} name_pair;

static const name_pair whole_names[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
    {"token_embd.weight", "model.decoder.embed_tokens.weight"}, /* Whisper from here */
    {"enc.conv1.weight", "model.encoder.conv1.weight"},
    {"enc.conv1.bias", "model.encoder.conv1.bias"},
    {"enc.conv2.weight", "model.encoder.conv2.weight"},
    {"enc.conv2.bias", "model.encoder.conv2.bias"},
    {"enc.position_embd.weight", "model.encoder.embed_positions.weight"},
    {"enc.output_norm.weight", "model.encoder.layer_norm.weight"},
    {"enc.output_norm.bias", "model.encoder.layer_norm.bias"},
    {"dec.position_embd.weight", "model.decoder.embed_positions.weight"},
    {"dec.output_norm.weight", "model.decoder.layer_norm.weight"},
    {"dec.output_norm.bias", "model.decoder.layer_norm.bias"},
};

static const name_pair llama_parts[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},       {NULL, NULL},
};

static const name_pair whisper_parts[] = {
    {"attn_norm", "self_attn_layer_norm"},     {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},            {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.out_proj"},     {"ffn_norm", "final_layer_norm"},
    {"ffn_up", "fc1"},                         {"ffn_down", "fc2"},
    {"cross_norm", "encoder_attn_layer_norm"}, {"cross_q", "encoder_attn.q_proj"},
    {"cross_k", "encoder_attn.k_proj"},        {"cross_v", "encoder_attn.v_proj"},
    {"cross_output", "encoder_attn.out_proj"}, {NULL, NULL},
};

static const struct {
    const char *gguf, *folder; /* in front of the layer's number */
    const name_pair *parts;
} stacks[] = {
    {"blk.", "model.layers.", llama_parts},
    {"enc.blk.", "model.encoder.layers.", whisper_parts},
    {"dec.blk.", "model.decoder.layers.", whisper_parts},
};

enum { N_WHOLE_NAMES = sizeof whole_names / sizeof *whole_names,
       N_STACKS = sizeof stacks / sizeof *stacks };

/* "<prefix>7.": the number and what stands behind its point. False for other texts, and for numbers
 * that nobody writes so ("07"). */
static bool split_layer(const char *name, const char *prefix, unsigned *layer, const char **rest) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0) return false;
    size_t digits = strspn(name + n, "0123456789");
    if (digits == 0 || digits > 6) return false;
    if (name[n] == '0' && digits > 1) return false;
    *layer = (unsigned)strtoul(name + n, NULL, 10);
    *rest = name + n + digits + 1;
    return name[n + digits] == '.';
}

/* Whether `rest` is `part` and an ending. */
static bool is_part(const char *rest, const char *part) {
    size_t n = strlen(part);
    return strncmp(rest, part, n) == 0 && rest[n] == '.';
}

bool source_folder_name(const char *gguf_name, size_t nth, char *out, size_t n) {
    unsigned layer;
    const char *rest;
    for (size_t i = 0; i < N_WHOLE_NAMES; i++)
        if (strcmp(gguf_name, whole_names[i].gguf) == 0 && nth-- == 0)
            return (size_t)snprintf(out, n, "%s", whole_names[i].folder) < n;
    for (size_t i = 0; i < N_STACKS; i++) {
        if (!split_layer(gguf_name, stacks[i].gguf, &layer, &rest)) continue;
        for (const name_pair *p = stacks[i].parts; p->gguf; p++)
            if (is_part(rest, p->gguf) && nth-- == 0)
                return (size_t)snprintf(out, n, "%s%u.%s%s", stacks[i].folder, layer, p->folder,
                                        rest + strlen(p->gguf)) < n;
    }
    return false;
}

bool source_gguf_name(const char *folder_name, char *out, size_t n) {
    unsigned layer;
    const char *rest;
    for (size_t i = 0; i < N_WHOLE_NAMES; i++)
        if (strcmp(folder_name, whole_names[i].folder) == 0)
            return (size_t)snprintf(out, n, "%s", whole_names[i].gguf) < n;
    for (size_t i = 0; i < N_STACKS; i++) {
        if (!split_layer(folder_name, stacks[i].folder, &layer, &rest)) continue;
        for (const name_pair *p = stacks[i].parts; p->gguf; p++)
            if (is_part(rest, p->folder))
                return (size_t)snprintf(out, n, "%s%u.%s%s", stacks[i].gguf, layer, p->gguf,
                                        rest + strlen(p->folder)) < n;
    }
    return false;
}
