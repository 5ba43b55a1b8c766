/* Importance data: both forms of file, what is refused, and what calibration measures. */
#include "weights/imatrix.h"

#include "base/mem.h"
#include "files.h"
#include "model_files.h"
#include "test.h"
#include "weights/calibrate.h"
#include "weights/fidelity.h"

/* --- files --- */

static void what_is_written_is_read(void) {
    test_folder tmp = test_folder_make();
    const char *path = test_path(tmp.path, "m.gguf");
    imatrix m, back;
    imatrix_entry *e;
    CHECK_OK(imatrix_init(&m, "a text"));
    m.n_chunks = 3;
    m.chunk_size = 512;
    CHECK_OK(imatrix_add(&m, "blk.0.attn_q.weight", 19, 4, 1, &e));
    e->counts[0] = 10;
    for (int i = 0; i < 4; i++) e->mean[i] = (float)i * 0.5f;
    CHECK_OK(imatrix_add(&m, "blk.0.ffn_down_exps.weight", 26, 2, 3, &e));
    for (int i = 0; i < 6; i++) e->mean[i] = (float)(i + 1);
    e->counts[0] = 4;
    e->counts[1] = 0; /* an expert that saw nothing */
    e->counts[2] = 8;
    CHECK(imatrix_add(&m, "blk.0.attn_q.weight", 19, 4, 1, &e) == HONE_ERR_FORMAT);
    imatrix_release(&m);

    CHECK_OK(imatrix_init(&m, "a text"));
    m.n_chunks = 3;
    CHECK_OK(imatrix_add(&m, "a.weight", 8, 2, 3, &e));
    for (int i = 0; i < 6; i++) e->mean[i] = (float)(i + 1);
    e->counts[0] = 4;
    e->counts[2] = 8;
    CHECK_OK(imatrix_write(&m, path));
    if (CHECK_OK(imatrix_open(&back, path))) {
        const imatrix_entry *b = imatrix_find(&back, "a.weight");
        CHECK(back.n == 1 && back.n_chunks == 3 && strcmp(back.dataset, "a text") == 0);
        CHECK(b && b->n_columns == 2 && b->n_matrices == 3 && !imatrix_find(&back, "b.weight"));
        const float expected[] = {1, 2, 1, 1, 5, 6};
        for (int i = 0; b && i < 6; i++) CHECK_NEAR(b->mean[i], expected[i], 1e-6);
        imatrix_release(&back);
    }
    imatrix_release(&m);
    test_folder_remove(&tmp);
}

/* The old form as llama.cpp wrote it, in `out`; returns its length. */
static size_t old_file(uint8_t *out, bool trailer) {
    const int32_t head[] = {2, 5}, numbers[] = {4, 3}, tail[] = {7, 8};
    const float values[] = {4, 8, 12}, more[] = {0.25f};
    uint8_t *at = out;
#define PUT(data, n) (memcpy(at, data, n), at += (n))
    PUT(head, 8);
    PUT("first", 5);
    PUT(numbers, 8); /* 4 calls, 3 values */
    PUT(values, 12);
    PUT(&(int32_t){6}, 4);
    PUT("second", 6);
    PUT(((int32_t[]){0, 1}), 8); /* no call: the value as it is */
    PUT(more, 4);
    if (trailer) {
        PUT(tail, 8);
        PUT("text.txt", 8);
    }
#undef PUT
    return (size_t)(at - out);
}

static void the_old_form_is_read(void) {
    uint8_t bytes[128];
    for (int trailer = 0; trailer < 2; trailer++) {
        imatrix m;
        size_t n = old_file(bytes, trailer);
        if (!CHECK_OK(imatrix_parse(&m, bytes, n, "old"))) continue;
        const imatrix_entry *a = imatrix_find(&m, "first"), *b = imatrix_find(&m, "second");
        CHECK(m.n == 2 && a && b);
        CHECK(a && a->n_columns == 3 && a->mean[0] == 1 && a->mean[2] == 3);
        CHECK(b && b->mean[0] == 0.25f);
        CHECK(m.n_chunks == (trailer ? 7 : 0) && strcmp(m.dataset, trailer ? "text.txt" : "") == 0);
        imatrix_release(&m);
    }
}

static void half_files_are_refused(void) {
    uint8_t bytes[128];
    size_t n = old_file(bytes, true), n_short = old_file(bytes, false);
    old_file(bytes, true);
    for (size_t cut = 0; cut < n; cut++) {
        imatrix m;
        hone_status status = imatrix_parse(&m, bytes, cut, "cut");
        CHECK_MSG(cut == n_short ? status == HONE_OK : status == HONE_ERR_FORMAT, "%zu", cut);
        if (status == HONE_OK) imatrix_release(&m);
    }
}

static void nonsense_is_refused(void) {
    uint8_t bytes[128];
    imatrix m;
    const struct {
        size_t at;
        uint32_t word;
    } changes[] = {
        {0, 0},  {0, 0x80000000}, {0, 0x7fffffff}, {4, 0},          {4, 0x7fffffff},
        {13, 0x80000000},         {17, 0},         {17, 0x7fffffff}, {21, 0x7fc00000},
        {21, 0xbf800000}, /* −1 */
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        size_t n = old_file(bytes, true);
        memcpy(bytes + changes[i].at, &changes[i].word, 4);
        CHECK_MSG(imatrix_parse(&m, bytes, n, "bad") == HONE_ERR_FORMAT, "change %zu", i);
    }
    test_folder tmp = test_folder_make();
    const char *path = test_path(tmp.path, "model.gguf");
    const model_recipe r = {.type = DTYPE_F16};
    CHECK_OK(model_write_gguf(&r, path));
    CHECK(imatrix_open(&m, path) == HONE_ERR_FORMAT); /* a model is no importance data */
    CHECK(strstr(hone_error_message(), "model.gguf"));
    test_folder_remove(&tmp);
}

/* --- calibration --- */

/* Mean square of what enters the first layer's attention: embeddings after the first norm. */
static void expected_first_layer(const gguf *file, const int32_t *ids, size_t n, size_t width,
                                 double *mean) {
    float x[256], norm[256];
    const tensor *embedding = &gguf_find_tensor(file, "token_embd.weight")->view;
    const tensor *weights = &gguf_find_tensor(file, "blk.0.attn_norm.weight")->view;
    double eps = 1e-5;
    gguf_get_f64(file, "llama.attention.layer_norm_rms_epsilon", &eps);
    quant_decode_row(weights->type, norm, weights->data, width);
    for (size_t t = 0; t < n; t++) {
        double square = 0;
        quant_decode_row(embedding->type, x, tensor_row(embedding, (size_t)ids[t]), width);
        for (size_t i = 0; i < width; i++) square += (double)x[i] * (double)x[i];
        for (size_t i = 0; i < width; i++) {
            double y = (double)x[i] * (double)norm[i] / sqrt(square / (double)width + eps);
            mean[i] += y * y / (double)n;
        }
    }
}

static void calibration_adds_up_what_enters_each_matrix(void) {
    test_folder tmp = test_folder_make();
    const char *path = test_path(tmp.path, "model.gguf");
    const model_recipe r = {.type = DTYPE_F16};
    const calibrate_options options = {.n_tokens = 300, .dataset = "own"};
    hone_model *model = NULL;
    gguf *file = NULL;
    int32_t *ids = NULL, *start = NULL;
    size_t n_ids = 0, n_start = 0;
    imatrix m;
    CHECK_OK(model_write_gguf(&r, path));
    if (CHECK_OK(hone_model_open(&model, path, NULL)) && CHECK_OK(gguf_open(&file, path)) &&
        CHECK_OK(calibrate_model(&m, model, own_text(1), strlen(own_text(1)), &options))) {
        const hone_model_info *info = hone_model_describe(model);
        CHECK_OK(hone_tokenize(model, own_text(1), strlen(own_text(1)), true, &ids, &n_ids));
        CHECK_OK(hone_tokenize(model, "", 0, true, &start, &n_start));
        for (size_t at = 0; at < 300 && n_start > 0; at += info->n_context) ids[at] = start[0];
        double expected[256] = {0};
        expected_first_layer(file, ids, 300, info->n_embedding, expected);
        const imatrix_entry *q = imatrix_find(&m, "blk.0.attn_q.weight");
        const imatrix_entry *v = imatrix_find(&m, "blk.0.attn_v.weight");
        CHECK_MSG(m.n == 7 * info->n_layers, "%zu matrices", m.n);
        CHECK(q && v && q->n_columns == info->n_embedding && q->counts[0] == 300);
        for (size_t i = 0; q && v && i < info->n_embedding; i++) {
            CHECK_NEAR(q->mean[i], expected[i], 1e-3 * expected[i] + 1e-6);
            CHECK(q->mean[i] == v->mean[i]);
        }
        CHECK(!imatrix_find(&m, "output.weight") && !imatrix_find(&m, "token_embd.weight"));
        imatrix_release(&m);
    }
    hone_free(ids);
    hone_free(start);
    gguf_close(file);
    hone_model_close(model);
    test_folder_remove(&tmp);
}

static void torn_memory_leaks_nothing(void) {
    uint8_t bytes[128];
    size_t n = old_file(bytes, true);
    for (long i = 1;; i++) {
        imatrix m;
        mem_fail_from(i);
        hone_status status = imatrix_parse(&m, bytes, n, "old");
        mem_fail_from(0);
        if (status == HONE_OK) {
            imatrix_release(&m);
            break;
        }
        CHECK(status == HONE_ERR_MEMORY);
    }
}

int main(void) {
    RUN(what_is_written_is_read);
    RUN(the_old_form_is_read);
    RUN(half_files_are_refused);
    RUN(nonsense_is_refused);
    RUN(calibration_adds_up_what_enters_each_matrix);
    RUN(torn_memory_leaks_nothing);
    return test_summary();
}
