/* The sizes of real models, computed from their shapes and a mix, against the published ones
 * (docs/formats.md; Llama's tensor of rope factors is not counted there). */
#include "weights/quant_mix.h"

#include "base/mem.h"
#include "test.h"

typedef struct shape {
    const char *name;
    size_t n_layers, width, feed_forward, n_heads, n_kv_heads, head_dim, n_vocab;
    bool has_biases, has_output;
} shape;

static const shape qwen_1_5b = {"Qwen2.5-1.5B", 28, 1536, 8960, 12, 2, 128, 151936, true, false};
static const shape qwen_3b = {"Qwen2.5-3B", 36, 2048, 11008, 16, 2, 128, 151936, true, false};
static const shape llama_3b = {"Llama-3.2-3B", 28, 3072, 8192, 24, 8, 128, 128256, false, false};
static const shape tinyllama = {"TinyLlama-1.1B", 22, 2048, 5632, 32, 4, 64, 32000, false, true};

static dtype type_of(const shape *s, const char *mix, const char *name, size_t n_in, size_t n_out) {
    quant_mix_model model = {s->n_layers, s->n_heads, s->n_kv_heads, s->has_output, false};
    tensor t = {.type = DTYPE_F16, .n_dims = n_out > 1 ? 2 : 1, .ne = {n_in, n_out, 1, 1}};
    return quant_mix_type(quant_mix_by_name(mix), &model, name, &t);
}

static size_t bytes_of(const shape *s, const char *mix, const char *name, size_t n_in,
                       size_t n_out) {
    size_t row = 0;
    dtype_row_bytes(type_of(s, mix, name, n_in, n_out), n_in, &row);
    return row * n_out;
}

static size_t model_bytes(const shape *s, const char *mix) {
    size_t q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    size_t total = bytes_of(s, mix, "token_embd.weight", s->width, s->n_vocab);
    if (s->has_output) total += bytes_of(s, mix, "output.weight", s->width, s->n_vocab);
    total += bytes_of(s, mix, "output_norm.weight", s->width, 1);
    for (size_t i = 0; i < s->n_layers; i++) {
        const struct {
            const char *name;
            size_t n_in, n_out;
        } parts[] = {
            {"attn_norm.weight", s->width, 1},   {"ffn_norm.weight", s->width, 1},
            {"attn_q.weight", s->width, q},      {"attn_k.weight", s->width, kv},
            {"attn_v.weight", s->width, kv},     {"attn_output.weight", q, s->width},
            {"ffn_gate.weight", s->width, s->feed_forward},
            {"ffn_up.weight", s->width, s->feed_forward},
            {"ffn_down.weight", s->feed_forward, s->width},
        };
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%zu.%s", i, parts[k].name);
            total += bytes_of(s, mix, name, parts[k].n_in, parts[k].n_out);
        }
        if (s->has_biases) total += 4 * (q + 2 * kv);
    }
    return total;
}

static void sizes_are_the_published_ones(void) {
    static const struct {
        const shape *s;
        const char *mix;
        size_t bytes;
    } known[] = {
        {&qwen_1_5b, "F16", 3087718400},    {&qwen_1_5b, "Q8_0", 1640622080},
        {&qwen_1_5b, "Q6_K", 1266788864},   {&qwen_1_5b, "Q5_K_M", 1119099392},
        {&qwen_1_5b, "Q4_K_M", 980097536},  {&qwen_1_5b, "Q4_K_S", 934361600},
        {&qwen_1_5b, "Q4_0", 929004032},    {&qwen_1_5b, "Q3_K_M", 818227712},
        {&qwen_3b, "Q5_K_M", 2218858496},   {&qwen_3b, "Q4_K_M", 1923946496},
        {&qwen_3b, "Q3_K_M", 1584519168},   {&llama_3b, "Q4_K_M", 2011539456},
        {&llama_3b, "Q4_K_S", 1920362496},  {&llama_3b, "Q3_K_M", 1679321088},
        {&tinyllama, "F16", 2200281088},    {&tinyllama, "Q8_0", 1169072128},
        {&tinyllama, "Q4_K_M", 667078656},  {&tinyllama, "Q4_K_S", 639135744},
        {&tinyllama, "Q4_0", 635990016},    {&tinyllama, "Q3_K_M", 547667968},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t bytes = model_bytes(known[i].s, known[i].mix);
        CHECK_MSG(bytes == known[i].bytes, "%s %s: %zu bytes, expected %zu", known[i].s->name,
                  known[i].mix, bytes, known[i].bytes);
    }
}

static void rows_that_do_not_fit_fall_back(void) {
    static const struct {
        const char *mix;
        dtype with_896, with_100;
    } known[] = {
        {"Q2_K", DTYPE_IQ4_NL, DTYPE_F16},  {"Q3_K_S", DTYPE_IQ4_NL, DTYPE_F16},
        {"IQ4_XS", DTYPE_IQ4_NL, DTYPE_F16}, {"Q4_K_S", DTYPE_Q5_0, DTYPE_F16},
        {"Q5_K_S", DTYPE_Q5_1, DTYPE_F16},  {"Q6_K", DTYPE_Q8_0, DTYPE_F16},
        {"Q8_0", DTYPE_Q8_0, DTYPE_F16},    {"Q4_0", DTYPE_Q4_0, DTYPE_F16},
        {"F32", DTYPE_F32, DTYPE_F32},      {"BF16", DTYPE_BF16, DTYPE_BF16},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *name = "blk.9.ffn_up.weight";
        CHECK_MSG(type_of(&qwen_1_5b, known[i].mix, name, 896, 64) == known[i].with_896, "%s",
                  known[i].mix);
        CHECK_MSG(type_of(&qwen_1_5b, known[i].mix, name, 100, 64) == known[i].with_100, "%s",
                  known[i].mix);
    }
    CHECK(type_of(&qwen_1_5b, "Q4_K_M", "token_embd.weight", 896, 64) == DTYPE_Q8_0);
}

static void norms_and_routers_are_left_alone(void) {
    CHECK(type_of(&qwen_3b, "Q4_K_M", "blk.0.attn_norm.weight", 2048, 1) == DTYPE_F32);
    CHECK(type_of(&qwen_3b, "Q4_K_M", "blk.0.attn_q.bias", 2048, 1) == DTYPE_F32);
    CHECK(type_of(&qwen_3b, "Q4_K_M", "blk.0.ffn_gate_inp.weight", 2048, 64) == DTYPE_F16);
    CHECK(type_of(&qwen_3b, "Q4_K_M", "blk.0.attn_q.lora_a", 2048, 16) == DTYPE_F16);
    CHECK(type_of(&tinyllama, "Q4_K_M", "token_embd.weight", 2048, 64) == DTYPE_Q4_K);
    CHECK(type_of(&tinyllama, "Q4_K_M", "output.weight", 2048, 64) == DTYPE_Q6_K);
}

static void mixes_are_found_by_name(void) {
    CHECK(quant_mix_by_name("Q4_K") == NULL && quant_mix_by_name("") == NULL);
    CHECK(quant_mix_file_type(quant_mix_by_name("q4_k_m")) == 15);
    size_t n = 0;
    for (const quant_mix *mix; (mix = quant_mix_at(n)) != NULL; n++)
        CHECK(quant_mix_by_name(quant_mix_name(mix)) == mix);
    CHECK(n == 19);
}

int main(void) {
    RUN(sizes_are_the_published_ones);
    RUN(rows_that_do_not_fit_fall_back);
    RUN(norms_and_routers_are_left_alone);
    RUN(mixes_are_found_by_name);
    return test_summary();
}
