/* What bad models get: the right status and one sentence that names what is wrong. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/utf8.h"
#include "files.h"
#include "hone/hone.h"
#include "model_folder.h"
#include "test.h"

static test_folder folder;
static char path[300];

static void begin(void) {
    folder = test_folder_make();
    snprintf(path, sizeof path, "%.190s/model.gguf", folder.path);
}

/* Opens `path`; CHECKs status and that the words hold each of the texts. */
static void check_open(const char *at, hone_status want, const char *a, const char *b,
                       const char *c) {
    hone_model *model = NULL;
    hone_status status = hone_model_open(&model, at, &(hone_model_options){.n_threads = 1});
    const char *words = status == HONE_OK ? "" : hone_error_message(), *parts[] = {a, b, c};
    CHECK_MSG(status == want, "%s, expected %s: %s", hone_status_name(status),
              hone_status_name(want), words);
    for (int i = 0; i < 3; i++)
        CHECK_MSG(!parts[i] || strstr(words, parts[i]), "\"%s\" does not say \"%s\"", words,
                  parts[i]);
    CHECK(status != HONE_OK || model);
    hone_model_close(model);
}

static void check_recipe(const model_recipe *r, hone_status want, const char *a, const char *b,
                         const char *c) {
    CHECK_OK(model_write_gguf(r, path));
    check_open(path, want, a, b, c);
}

/* --- words --- */

static void words_can_always_be_shown(void) {
    char long_name[3000] = "x";
    for (size_t n = 1; n + 3 < sizeof long_name; n += 2) memcpy(long_name + n, "ö", 3);
    fail(HONE_ERR_FORMAT, "%s", long_name);
    CHECK(utf8_is_valid(hone_error_message(), strlen(hone_error_message())));
    fail_context(HONE_ERR_FORMAT, "%s", long_name);
    CHECK(utf8_is_valid(hone_error_message(), strlen(hone_error_message())));
    fail(HONE_ERR_FORMAT, "%s", "a\x1b[1mb\xff\xc2\x9b" "c\u00e4");
    CHECK_MSG(!strcmp(hone_error_message(), "a?[1mb???c\u00e4"), "%s", hone_error_message());
}

/* --- files --- */

static void no_file(void) {
    check_open("/nowhere/model.gguf", HONE_ERR_NOT_FOUND, "/nowhere/model.gguf", NULL, NULL);
    check_open("", HONE_ERR_NOT_FOUND, NULL, NULL, NULL);
}

static void foreign_files(void) {
    static const struct {
        const char *bytes;
        size_t n;
    } files[] = {{"", 0}, {"\x7f" "ELF\2\1\1", 8}, {"Once upon a time", 16}, {"{\"a\": [1]}", 10},
                 {"GGUF", 4}, {"GGML\3\0\0\0", 8}, {"PK\3\4", 4}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CHECK(test_write_file(path, files[i].bytes, files[i].n));
        check_open(path, HONE_ERR_FORMAT, path, NULL, NULL);
    }
}

/* Cut anywhere: in the header, the keys, the tensor infos, the data. */
static void truncated_files(void) {
    size_t n;
    CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q8_0}, path));
    unsigned char *bytes = test_read_file(path, &n);
    for (size_t cut = 0; bytes && cut < n; cut += cut < 2000 ? 37 : n / 60) {
        CHECK(test_write_file(path, bytes, cut));
        check_open(path, HONE_ERR_FORMAT, path, NULL, NULL);
    }
    if (bytes) {
        CHECK(test_write_file(path, bytes, n - 1));
        check_open(path, HONE_ERR_FORMAT, "output.weight", NULL, NULL);
    }
    free(bytes);
}

static void folders_without_a_model(void) {
    check_open(folder.path, HONE_ERR_FORMAT, folder.path, "config.json", NULL);
    static const char *const configs[] = {"", "[]", "{"};
    const char *config = test_path(folder.path, "config.json");
    for (int i = 0; i < 3; i++) {
        CHECK(test_write_file(config, configs[i], strlen(configs[i])));
        check_open(folder.path, HONE_ERR_FORMAT, "config.json", NULL, NULL);
    }
    CHECK(test_write_file(config, "{}", 2));
    check_open(folder.path, HONE_ERR_NOT_FOUND, folder.path, "model.safetensors", NULL);
    unlink(config);
}

/* --- what hone does not have --- */

static void architectures_are_refused_by_name(void) {
    check_recipe(&(model_recipe){.architecture = "mamba"}, HONE_ERR_UNSUPPORTED, path, "mamba",
                 "llama");
    test_folder hf = test_folder_make();
    CHECK(model_write_folder(&(model_recipe){.architecture = "gpt_neox"}, hf.path, NULL));
    check_open(hf.path, HONE_ERR_UNSUPPORTED, "gpt_neox", "qwen2", NULL);
    static const char *const changes[] = {"{\"hidden_act\": \"gelu\"}",
                                          "{\"attention_bias\": true}",
                                          "{\"mlp_bias\": true}"};
    static const char *const words[] = {"gelu", "attention_bias", "mlp_bias"};
    for (int i = 0; i < 3; i++) {
        CHECK(model_write_folder(&(model_recipe){0}, hf.path, changes[i]));
        check_open(hf.path, HONE_ERR_UNSUPPORTED, words[i], "config.json", NULL);
    }
    test_folder_remove(&hf);
}

/* Changes the type of the tensor "blk.0.attn_q.weight" in the file's table. */
static void set_type(uint32_t type) {
    static const char name[] = "blk.0.attn_q.weight";
    size_t n = 0;
    CHECK_OK(model_write_gguf(&(model_recipe){.width = 256}, path));
    unsigned char *bytes = test_read_file(path, &n), *at = memmem(bytes, n, name, sizeof name - 1);
    CHECK(at != NULL);
    if (at) memcpy(at + sizeof name - 1 + 4 + 2 * 8, &type, sizeof type); /* n_dims, two ne */
    CHECK(test_write_file(path, bytes, n));
    free(bytes);
}

static void tensor_types_are_refused_by_name(void) {
    set_type(16);
    check_open(path, HONE_ERR_UNSUPPORTED, "blk.0.attn_q.weight", "IQ2_XXS", NULL);
    set_type(DTYPE_I32);
    check_open(path, HONE_ERR_UNSUPPORTED, "blk.0.attn_q.weight", "I32", NULL);
    set_type(4);
    check_open(path, HONE_ERR_UNSUPPORTED, "blk.0.attn_q.weight", "Q4_2", NULL);
    set_type(9999);
    check_open(path, HONE_ERR_UNSUPPORTED, "blk.0.attn_q.weight", "9999", NULL);
}

/* --- tensors --- */

static void shapes_and_absences_are_named(void) {
    static const struct {
        const char *name, *expected, *found;
    } tensors[] = {
        {"blk.1.ffn_down.weight", "[64, 128]", "[63, 128]"},
        {"blk.0.attn_k.weight", "[32, 64]", "[31, 64]"},
        {"blk.1.attn_norm.weight", "[64]", "[63]"},
        {"output.weight", "[272, 64]", "[271, 64]"},
        {"output_norm.weight", "[64]", "[63]"},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        check_recipe(&(model_recipe){.reshape = tensors[i].name}, HONE_ERR_FORMAT, tensors[i].name,
                     tensors[i].expected, tensors[i].found);
        if (strcmp(tensors[i].name, "output.weight") != 0) /* without it the head is tied */
            check_recipe(&(model_recipe){.leave_out = tensors[i].name}, HONE_ERR_FORMAT,
                         tensors[i].name, "missing", path);
    }
    check_recipe(&(model_recipe){.architecture = "qwen2", .leave_out = "blk.0.attn_k.bias"},
                 HONE_ERR_FORMAT, "blk.0.attn_k.bias", "missing", NULL);
}

static void vocabularies_must_fit(void) {
    test_folder hf = test_folder_make();
    CHECK(model_write_folder(&(model_recipe){0}, hf.path, "{\"vocab_size\": 300}"));
    check_open(hf.path, HONE_ERR_FORMAT, "token_embd.weight", "300", "272");
    test_folder_remove(&hf);
    static const char *const keys[] = {"tokenizer.ggml.bos_token_id",
                                       "tokenizer.ggml.eos_token_id"};
    for (int i = 0; i < 2; i++) { /* ids far outside */
        size_t n = 0;
        uint32_t id = 0x7fffffff;
        CHECK_OK(model_write_gguf(&(model_recipe){0}, path));
        unsigned char *bytes = test_read_file(path, &n);
        unsigned char *at = memmem(bytes, n, keys[i], strlen(keys[i]));
        memcpy(at + strlen(keys[i]) + 4, &id, sizeof id);
        CHECK(test_write_file(path, bytes, n));
        free(bytes);
        check_open(path, HONE_ERR_FORMAT, path, NULL, NULL);
    }
}

/* --- numbers --- */

static void absurd_numbers_are_refused(void) {
    static const char *const keys[] = {
        "llama.block_count", "llama.embedding_length", "llama.feed_forward_length",
        "llama.attention.head_count", "llama.attention.head_count_kv", "llama.context_length",
        "llama.attention.key_length", "llama.rope.dimension_count"};
    static const uint64_t values[] = {0, UINT64_MAX, (uint64_t)1 << 40, 3000000000u, 7};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            hone_model *model = NULL;
            if (k == 5 && values[v] == 7) continue; /* a context of 7 is a context */
            CHECK_OK(model_write_gguf(&(model_recipe){.key = keys[k], .value = values[v]}, path));
            hone_status status = hone_model_open(&model, path, NULL);
            CHECK_MSG(status == HONE_ERR_FORMAT || status == HONE_ERR_UNSUPPORTED, "%s = %llu: %s",
                      keys[k], (unsigned long long)values[v], hone_status_name(status));
            CHECK(strstr(hone_error_message(), path) != NULL);
            hone_model_close(model);
        }
}

static void absurd_configs_are_refused(void) {
    static const char *const keys[] = {
        "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps",
        "rope_theta"};
    static const char *const values[] = {"0", "-1", "1099511627776", "1e300", "\"7\"", "[]"};
    test_folder hf = test_folder_make();
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char change[100];
            hone_model *model = NULL;
            if (k == 9 && v == 2) continue; /* a base of 10¹² is checked with the others */
            snprintf(change, sizeof change, "{\"%s\": %s}", keys[k], values[v]);
            CHECK(model_write_folder(&(model_recipe){0}, hf.path, change));
            hone_status status = hone_model_open(&model, hf.path, NULL);
            CHECK_MSG(status == HONE_ERR_FORMAT, "%s: %s", change, hone_status_name(status));
            CHECK(strstr(hone_error_message(), hf.path) != NULL);
            hone_model_close(model);
        }
    test_folder_remove(&hf);
}

/* --- damage --- */

static const char *spoiled;
static uint32_t poison;

/* The first number of the tensor, or the scale of its first block, becomes NaN or infinity. */
static void spoil(const char *name, dtype type, void *bytes, size_t n_bytes) {
    if (strcmp(name, spoiled) != 0) return;
    (void)n_bytes;
    uint16_t half = poison == 0x7f800000 ? 0x7c00 : 0x7e00, top = (uint16_t)(poison >> 16);
    size_t at = 0; /* of the block's scale */
    if (type == DTYPE_Q2_K) at = 80;
    if (type == DTYPE_Q3_K) at = 108;
    if (type == DTYPE_Q6_K) at = 208;
    if (type == DTYPE_F32)
        memcpy(bytes, &poison, 4);
    else
        memcpy((char *)bytes + at, type == DTYPE_BF16 ? &top : &half, 2);
}

static void check_damage(const char *name, dtype type, bool exact) {
    spoiled = name;
    CHECK_OK(model_write_gguf(&(model_recipe){.type = type, .width = 256, .spoil = spoil}, path));
    hone_model *model = NULL;
    hone_session *s = NULL;
    if (!CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 1}))) return;
    CHECK_OK(hone_session_open(&s, model, &(hone_session_options){.exact = exact}));
    static const size_t lengths[] = {1, 8, 40};
    int32_t ids[40] = {0}; /* token 0: an embedding's first row */
    for (int i = 0; i < 3; i++) {
        size_t n;
        hone_status status = hone_step(&(hone_step_item){s, ids, lengths[i], HONE_LOGITS_LAST}, 1);
        CHECK_MSG(status == HONE_ERR_NUMERIC, "%s of %s, exact %d, poison %08x, %zu tokens: %s",
                  name,
                  dtype_get(type)->name, exact, poison, lengths[i], hone_status_name(status));
        if (status != HONE_OK) CHECK(strstr(hone_error_message(), path) != NULL);
        hone_session_tokens(s, &n);
        CHECK(status == HONE_OK || n == 0);
        CHECK_OK(hone_session_rewind(s, 0));
    }
    hone_session_close(s);
    hone_model_close(model);
}

static void damaged_weights_are_noticed(bool exact) {
    static const dtype types[] = {
        DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0,   DTYPE_Q5_1,
        DTYPE_Q8_0, DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K,   DTYPE_IQ4_NL,
        DTYPE_IQ4_XS};
    static const char *const names[] = {"token_embd.weight", "blk.0.attn_q.weight",
        "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.1.ffn_gate.weight",
        "blk.1.ffn_down.weight", "output.weight"};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        poison = t % 2 ? 0x7f800000 : 0x7fc00000;
        for (size_t i = t % 3; i < sizeof names / sizeof *names; i += 3)
            check_damage(names[i], types[t], exact);
    }
}

static void damaged_weights_are_noticed_in_the_exact_mode(void) {
    damaged_weights_are_noticed(true);
}
static void damaged_weights_are_noticed_in_the_default_mode(void) {
    damaged_weights_are_noticed(false);
}

static void damaged_norms_are_refused(void) {
    static const char *const names[] = {"blk.1.attn_norm.weight", "blk.0.ffn_norm.weight",
                                        "output_norm.weight", "blk.0.attn_k.bias"};
    for (int i = 0; i < 8; i++) {
        poison = i % 2 ? 0x7f800000 : 0x7fc00000;
        spoiled = names[i / 2];
        check_recipe(&(model_recipe){.architecture = "qwen2", .spoil = spoil}, HONE_ERR_NUMERIC,
                     names[i / 2], path, NULL);
    }
}

/* --- more than there is --- */

static void models_beyond_memory_are_refused_with_numbers(void) {
    CHECK_OK(model_write_gguf(&(model_recipe){0}, path));
    CHECK(truncate(path, (off_t)1 << 43) == 0); /* 8 TiB, sparse */
    check_open(path, HONE_ERR_MEMORY, path, "8192.06 GiB", "would fit");
}

int main(void) {
    begin();
    RUN(words_can_always_be_shown);
    RUN(folders_without_a_model);
    RUN(no_file);
    RUN(foreign_files);
    RUN(truncated_files);
    RUN(architectures_are_refused_by_name);
    RUN(tensor_types_are_refused_by_name);
    RUN(shapes_and_absences_are_named);
    RUN(vocabularies_must_fit);
    RUN(absurd_numbers_are_refused);
    RUN(absurd_configs_are_refused);
    RUN(damaged_norms_are_refused);
    RUN(damaged_weights_are_noticed_in_the_exact_mode);
    RUN(damaged_weights_are_noticed_in_the_default_mode);
    RUN(models_beyond_memory_are_refused_with_numbers);
    test_folder_remove(&folder);
    return test_summary();
}
