/* make_gguf: model files for tests and benchmarks.
 *
 *     make_gguf synth SHAPE MIX OUT.gguf        random weights in the shape of a real model
 *     make_gguf requantise IN.gguf MIX OUT.gguf the same weights in other types
 *
 * `synth` writes random blocks directly, whose scales give the weights the deviation
 * 1 / sqrt(inputs), and a vocabulary of the right size whose first tokens are the bytes. The same arguments give the
 * same file. What such a model says is babble; what it costs is what the real one costs.
 * `requantise` reads F32, F16, BF16 or blocks and writes any mix, F32 included. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "tensor/blocks.h"
#include "tensor/quant.h"
#include "weights/quant_mix.h"
#include "weights/quantise.h"

/* --- random numbers --- */

static uint64_t random_state;

static uint64_t random_u64(void) { /* xorshift64*, Vigna 2016 */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1d;
}

static void random_bytes(uint8_t *out, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = random_u64();
        memcpy(out + i, &bits, n - i < 8 ? n - i : 8);
    }
}

/* Deviation 1: the sum of four uniform numbers, near enough to normal. */
static float random_normal(void) {
    uint64_t bits = random_u64();
    int sum = (int)(bits & 0xffff) + (int)(bits >> 16 & 0xffff) + (int)(bits >> 32 & 0xffff) +
              (int)(bits >> 48);
    return (float)(sum - 2 * 65535) * (1.7320508f / 65536.0f);
}

/* --- random blocks --- */

/* A block's halves after its payload was filled with random bits. Formats with a minimum get one
 * that centres the codes; the others get scales of both signs. */
typedef struct random_format {
    size_t d_at, min_at; /* offsets; the same where there is no minimum */
    float rms;           /* of decoded values with d = 1 */
    float centre;        /* min = centre · d; 0 without */
    int sub_scales;      /* how packed scales must be tied to packed minima */
} random_format;

enum { FREE, TIED_NIBBLES, TIED_6_BITS };

#define NO_MIN(type, rms) {offsetof(block_##type, d), offsetof(block_##type, d), rms, 0, FREE}

/* Codes are uniform, so k codes one apart have the rms sqrt((k² − 1) / 12) about their middle;
 * 6-bit scales of 32 … 63 have 48.4, 4-bit ones of 8 … 15 have 11.7, signed ones 18.5 or 73.9. */
static const random_format random_formats[DTYPE_LIMIT] = {
    [DTYPE_Q4_0] = NO_MIN(q4_0, 4.64f),
    [DTYPE_Q5_0] = NO_MIN(q5_0, 9.25f),
    [DTYPE_Q8_0] = NO_MIN(q8_0, 73.9f),
    [DTYPE_Q3_K] = NO_MIN(q3_k, 18.5f * 2.35f),
    [DTYPE_Q6_K] = NO_MIN(q6_k, 73.9f * 18.5f),
    [DTYPE_IQ4_NL] = NO_MIN(iq4_nl, 67.4f),
    [DTYPE_IQ4_XS] = NO_MIN(iq4_xs, 18.5f * 67.4f),
    [DTYPE_Q4_1] = {offsetof(block_q4_1, d), offsetof(block_q4_1, m), 4.61f, -7.5f, FREE},
    [DTYPE_Q5_1] = {offsetof(block_q5_1, d), offsetof(block_q5_1, m), 9.23f, -15.5f, FREE},
    [DTYPE_Q2_K] = {offsetof(block_q2_k, d), offsetof(block_q2_k, dmin), 11.7f * 1.12f, 1.5f,
                    TIED_NIBBLES},
    [DTYPE_Q4_K] = {offsetof(block_q4_k, d), offsetof(block_q4_k, dmin), 48.4f * 4.61f, 7.5f,
                    TIED_6_BITS},
    [DTYPE_Q5_K] = {offsetof(block_q5_k, d), offsetof(block_q5_k, dmin), 48.4f * 9.23f, 15.5f,
                    TIED_6_BITS},
};

static void tie_sub_scales(dtype type, int how, uint8_t *block) {
    if (how == TIED_NIBBLES) { /* scale and minimum of a sub-block share a byte */
        uint8_t *scales = ((block_q2_k *)block)->scales;
        for (int k = 0; k < 16; k++) scales[k] = (uint8_t)(((scales[k] & 7) | 8) * 0x11);
    } else if (how == TIED_6_BITS) {
        uint8_t *scales = type == DTYPE_Q4_K ? ((block_q4_k *)block)->scales
                                             : ((block_q5_k *)block)->scales;
        for (int k = 0; k < 4; k++) {
            scales[k] |= 0xa0; /* bit 5 of code k, and of code k + 4 */
            scales[k + 4] = scales[k];
            scales[k + 8] = (uint8_t)((scales[k + 8] & 15) * 0x11);
        }
    }
}

static void store_half(uint8_t *at, float value) {
    uint16_t half = f16_from_f32(value);
    memcpy(at, &half, sizeof half);
}

static void fill_blocks(dtype type, uint8_t *out, size_t bytes, float deviation) {
    const random_format *f = &random_formats[type];
    size_t block_bytes = dtype_get(type)->block_bytes;
    random_bytes(out, bytes);
    for (uint8_t *block = out; block < out + bytes; block += block_bytes) {
        uint32_t bits = (uint32_t)random_u64();
        float d = deviation / f->rms * (0.75f + (float)(bits >> 1) * 0x1p-32f);
        tie_sub_scales(type, f->sub_scales, block);
        if (f->min_at != f->d_at)
            store_half(block + f->min_at, d * f->centre);
        else if (bits & 1)
            d = -d;
        store_half(block + f->d_at, d);
    }
}

/* n values around `mean`, in any type. */
static void fill_random(dtype type, void *out, size_t bytes, float mean, float deviation) {
    if (dtype_get(type)->block > 1) {
        fill_blocks(type, out, bytes, deviation);
        return;
    }
    size_t size = dtype_get(type)->block_bytes;
    for (uint8_t *at = out; at < (uint8_t *)out + bytes; at += size) {
        float x = mean + deviation * random_normal();
        uint16_t half = type == DTYPE_F16 ? f16_from_f32(x) : bf16_from_f32(x);
        memcpy(at, type == DTYPE_F32 ? (void *)&x : (void *)&half, size);
    }
}

/* --- shapes --- */

typedef struct shape {
    const char *name, *architecture;
    size_t n_layers, width, feed_forward, n_heads, n_kv_heads, head_dim, n_vocab, n_context;
    float rope_base, eps;
    bool has_biases;      /* of q, k and v */
    bool has_output;      /* a head of its own */
    bool has_llama3_rope; /* the factors of rope_freqs.weight */
} shape;

static const shape shapes[] = {
    {"tiny", "llama", 2, 256, 512, 4, 2, 64, 512, 2048, 10000, 1e-5f, false, true, false},
    {"tiny-qwen2", "qwen2", 2, 256, 512, 4, 2, 64, 512, 2048, 1e6f, 1e-6f, true, false, false},
    {"long-cache", "llama", 8, 64, 128, 16, 16, 128, 512, 8192, 10000, 1e-5f, false, true, false},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768, 1e6f, 1e-6f, true, false,
     false},
    {"qwen2.5-1.5b", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936, 32768, 1e6f, 1e-6f, true, false,
     false},
    {"qwen2.5-3b", "qwen2", 36, 2048, 11008, 16, 2, 128, 151936, 32768, 1e6f, 1e-6f, true, false,
     false},
    {"llama3.2-3b", "llama", 28, 3072, 8192, 24, 8, 128, 128256, 131072, 500000, 1e-5f, false,
     false, true},
    {"tinyllama-1.1b", "llama", 22, 2048, 5632, 32, 4, 64, 32000, 2048, 10000, 1e-5f, false, true,
     false},
};

static const shape *find_shape(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

/* --- metadata --- */

static hone_status put_text(gguf_writer *w, const char *key, const char *text) {
    return gguf_put_string(w, key, text, strlen(text));
}

/* "qwen2" + ".block_count" */
static const char *key_of(const shape *s, const char *end) {
    static char key[128];
    snprintf(key, sizeof key, "%s.%s", s->architecture, end);
    return key;
}

static hone_status put_hyperparameters(gguf_writer *w, const shape *s, const quant_mix *mix) {
    char name[128];
    snprintf(name, sizeof name, "synthetic %s", s->name);
    TRY(put_text(w, "general.architecture", s->architecture));
    TRY(put_text(w, "general.name", name));
    TRY(gguf_put_u32(w, "general.file_type", quant_mix_file_type(mix)));
    TRY(gguf_put_u32(w, "general.quantization_version", 2));
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"block_count", s->n_layers},
        {"context_length", s->n_context},
        {"embedding_length", s->width},
        {"feed_forward_length", s->feed_forward},
        {"attention.head_count", s->n_heads},
        {"attention.head_count_kv", s->n_kv_heads},
        {"attention.key_length", s->head_dim},
        {"attention.value_length", s->head_dim},
        {"rope.dimension_count", s->head_dim},
        {"vocab_size", s->n_vocab},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        TRY(gguf_put_u32(w, key_of(s, sizes[i].key), (uint32_t)sizes[i].value));
    TRY(gguf_put_f32(w, key_of(s, "rope.freq_base"), s->rope_base));
    return gguf_put_f32(w, key_of(s, "attention.layer_norm_rms_epsilon"), s->eps);
}

/* The characters that stand for bytes in GPT-2's vocabularies: itself where it is visible in
 * Latin-1, else the next free one from U+0100. */
static uint32_t byte_character(int byte) {
    static uint32_t characters[256];
    if (!characters['!']) {
        uint32_t next = 0x100;
        for (int b = 0; b < 256; b++) {
            bool visible = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
            characters[b] = visible ? (uint32_t)b : next++;
        }
    }
    return characters[byte];
}

static const char *const named_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                           "he", "\xc4\xa0t", "\xc4\xa0the"}; /* Ġ is a space */
enum { N_CONTROL = 3, N_NAMED = 6, END_OF_TEXT = 256, IM_END = 258 };

static const char chat_template[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

enum { TOKEN_ROOM = 24 };

static void make_token(char *text, size_t i) {
    if (i < 256) {
        uint32_t c = byte_character((int)i);
        if (c < 0x80)
            snprintf(text, TOKEN_ROOM, "%c", (int)c);
        else
            snprintf(text, TOKEN_ROOM, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
    } else if (i < 256 + N_NAMED) {
        snprintf(text, TOKEN_ROOM, "%s", named_tokens[i - 256]);
    } else {
        snprintf(text, TOKEN_ROOM, "<%zu>", i);
    }
}

static hone_status put_tokens(gguf_writer *w, gguf_string *tokens, char *texts, int32_t *types,
                              size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *text = texts + i * TOKEN_ROOM;
        make_token(text, i);
        tokens[i] = (gguf_string){text, strlen(text)};
        types[i] = i >= 256 && i < 256 + N_CONTROL ? 3 : 1; /* control or normal */
    }
    TRY(gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, n));
    return gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, types, n);
}

static hone_status put_tokenizer(gguf_writer *w, size_t n) {
    static const gguf_string merges[] = {{"h e", 3}, {"\xc4\xa0 t", 4}, {"\xc4\xa0t he", 6}};
    gguf_string *tokens = mem_calloc(n, sizeof *tokens);
    char *texts = mem_calloc(n, TOKEN_ROOM);
    int32_t *types = mem_calloc(n, sizeof *types);
    hone_status status = HONE_OK;
    if (!tokens || !texts || !types)
        status = mem_fail("tokens", n * TOKEN_ROOM);
    else
        status = put_tokens(w, tokens, texts, types, n);
    mem_free(tokens);
    mem_free(texts);
    mem_free(types);
    TRY(status);
    TRY(put_text(w, "tokenizer.ggml.model", "gpt2"));
    TRY(put_text(w, "tokenizer.ggml.pre", "gpt-2"));
    TRY(gguf_put_strings(w, "tokenizer.ggml.merges", merges, 3));
    TRY(gguf_put_u32(w, "tokenizer.ggml.bos_token_id", END_OF_TEXT));
    TRY(gguf_put_u32(w, "tokenizer.ggml.eos_token_id", IM_END));
    TRY(gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false));
    return put_text(w, "tokenizer.chat_template", chat_template);
}

/* --- tensors of a synthetic model --- */

typedef struct synthetic_tensor {
    char name[64];
    dtype type;
    float mean, deviation;
} synthetic_tensor;

typedef struct synth {
    const shape *s;
    const quant_mix *mix;
    gguf_writer *w;
    synthetic_tensor *tensors;
    size_t n_tensors, n_allocated;
} synth;

/* [n_out, n_in]; a vector where n_out is 1. */
static hone_status add_tensor(synth *m, const char *name, size_t n_in, size_t n_out, float mean,
                              float deviation) {
    if (m->n_tensors == m->n_allocated) return fail(HONE_ERR_ARGUMENT, "too many tensors");
    const shape *s = m->s;
    quant_mix_model model = {s->n_layers, s->n_heads, s->n_kv_heads, s->has_output, false};
    tensor view = {.type = DTYPE_F32, .n_dims = n_out > 1 ? 2 : 1, .ne = {n_in, n_out, 1, 1}};
    synthetic_tensor *t = &m->tensors[m->n_tensors++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->type = quant_mix_type(m->mix, &model, name, &view);
    t->mean = mean;
    t->deviation = deviation;
    return gguf_put_tensor(m->w, t->name, t->type, view.ne, view.n_dims);
}

static hone_status add_matrix(synth *m, const char *name, size_t n_in, size_t n_out) {
    return add_tensor(m, name, n_in, n_out, 0.0f, 1.0f / sqrtf((float)n_in));
}

static hone_status add_norm(synth *m, const char *name) {
    return add_tensor(m, name, m->s->width, 1, 1.0f, 0.1f);
}

static hone_status add_layer(synth *m, size_t layer) {
    const shape *s = m->s;
    size_t q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    const struct {
        const char *name;
        size_t n_in, n_out;
    } parts[] = {
        {"attn_norm.weight", s->width, 1},
        {"attn_q.weight", s->width, q},
        {"attn_k.weight", s->width, kv},
        {"attn_v.weight", s->width, kv},
        {"attn_q.bias", q, 1},
        {"attn_k.bias", kv, 1},
        {"attn_v.bias", kv, 1},
        {"attn_output.weight", q, s->width},
        {"ffn_norm.weight", s->width, 1},
        {"ffn_gate.weight", s->width, s->feed_forward},
        {"ffn_up.weight", s->width, s->feed_forward},
        {"ffn_down.weight", s->feed_forward, s->width},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[64];
        bool is_bias = strstr(parts[i].name, "bias") != NULL;
        snprintf(name, sizeof name, "blk.%zu.%s", layer, parts[i].name);
        if (parts[i].n_out > 1) {
            TRY(add_matrix(m, name, parts[i].n_in, parts[i].n_out));
        } else if (!is_bias) {
            TRY(add_norm(m, name));
        } else if (s->has_biases) {
            TRY(add_tensor(m, name, parts[i].n_in, 1, 0.0f, 0.1f));
        }
    }
    return HONE_OK;
}

static hone_status add_tensors(synth *m) {
    const shape *s = m->s;
    TRY(add_matrix(m, "token_embd.weight", s->width, s->n_vocab));
    for (size_t i = 0; i < s->n_layers; i++) TRY(add_layer(m, i));
    TRY(add_norm(m, "output_norm.weight"));
    if (s->has_llama3_rope)
        TRY(add_tensor(m, "rope_freqs.weight", s->head_dim / 2, 1, 0.0f, 0.0f));
    if (s->has_output) TRY(add_matrix(m, "output.weight", s->width, s->n_vocab));
    return HONE_OK;
}

/* Llama 3.2's divisors of the frequencies: 1 for short waves, 32 for long ones, between them the
 * reciprocal goes in a straight line (original context 8192, factors 1 and 4). */
static void fill_rope_factors(const shape *s, float *out) {
    for (size_t i = 0; i < s->head_dim / 2; i++) {
        double frequency = pow(s->rope_base, -2.0 * (double)i / (double)s->head_dim);
        double waves = 8192.0 * frequency / (2.0 * 3.14159265358979323846);
        double kept = fmin(1.0, fmax(0.0, (waves - 1.0) / (4.0 - 1.0)));
        out[i] = (float)(1.0 / (kept + (1.0 - kept) / 32.0));
    }
}

static hone_status synthesise(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    const synth *m = user;
    const synthetic_tensor *t = &m->tensors[index];
    random_state = 0x9e3779b97f4a7c15 * (index + 1) + offset;
    if (strcmp(t->name, "rope_freqs.weight") == 0)
        fill_rope_factors(m->s, out);
    else
        fill_random(t->type, out, bytes, t->mean, t->deviation);
    return HONE_OK;
}

static hone_status run_synth(const char *shape_name, const quant_mix *mix, const char *path) {
    synth m = {.s = find_shape(shape_name), .mix = mix};
    if (!m.s) return fail(HONE_ERR_ARGUMENT, "no shape is called '%s'", shape_name);
    m.n_allocated = 12 * m.s->n_layers + 4;
    TRY(gguf_writer_open(&m.w));
    m.tensors = mem_calloc(m.n_allocated, sizeof *m.tensors);
    hone_status status = m.tensors ? HONE_OK : mem_fail("tensors", m.n_allocated);
    if (status == HONE_OK) status = put_hyperparameters(m.w, m.s, mix);
    if (status == HONE_OK) status = put_tokenizer(m.w, m.s->n_vocab);
    if (status == HONE_OK) status = add_tensors(&m);
    if (status == HONE_OK) status = gguf_write(m.w, path, synthesise, &m);
    mem_free(m.tensors);
    gguf_writer_close(m.w);
    return status;
}

/* --- the program --- */

static int usage(void) {
    fprintf(stderr, "usage: make_gguf synth SHAPE MIX OUT.gguf\n"
                    "       make_gguf requantise IN.gguf MIX OUT.gguf\nshapes:");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        fprintf(stderr, " %s", shapes[i].name);
    fprintf(stderr, "\nmixes:");
    for (size_t i = 0; quant_mix_at(i); i++)
        fprintf(stderr, " %s", quant_mix_name(quant_mix_at(i)));
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv) {
    const quant_mix *mix = argc == 5 ? quant_mix_by_name(argv[3]) : NULL;
    hone_status status;
    if (mix && strcmp(argv[1], "synth") == 0)
        status = run_synth(argv[2], mix, argv[4]);
    else if (mix && strcmp(argv[1], "requantise") == 0)
        status = quantise_gguf(argv[2], argv[4], mix, &(recode_options){.replace = true}, NULL);
    else
        return usage();
    if (status == HONE_OK) return 0;
    fprintf(stderr, "make_gguf: %s\n", hone_error_message());
    return 1;
}
