/* One Whisper model in four forms: the same numbers, the same tokens. And forms that are broken. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "files.h"
#include "format/ct2.h"
#include "format/pytorch.h"
#include "format/whisper_ggml.h"
#include "model/whisper.h"
#include "tensor/quant.h"
#include "test.h"
#include "text/tokenizer.h"

static const char *const forms[] = {"ct2", "openai/model.pt", "ggml.bin"};
enum { N_FORMS = sizeof forms / sizeof *forms };

/* The reference folder, and a new one with its other forms; false where they cannot be made. */
static bool make_forms(const char *model, char folder[4096], char out[4096]) {
    char command[16384];
    struct stat st;
    if (!test_shared() || stat("tests/tools/whisper_forms.py", &st)) return false;
    snprintf(folder, 4096, "%s/golden/%s", test_shared(), model);
    if (stat(folder, &st)) return false;
    snprintf(out, 4096, "%s", test_folder_make().path);
    snprintf(command, sizeof command, "python3 tests/tools/whisper_forms.py '%s' '%s'", folder,
             out);
    return system(command) == 0;
}

static void remove_forms(const char *out) {
    char command[8192];
    snprintf(command, sizeof command, "rm -r '%s'", out);
    CHECK(system(command) == 0);
}

/* --- numbers --- */

typedef struct comparison {
    const model_source *a, *b;
    const char *form;
} comparison;

static hone_status compare_tensor(void *user, const whisper_tensor *t) {
    const comparison *c = user;
    tensor a, b;
    CHECK_MSG(source_find(c->a, t->name, &a) && source_find(c->b, t->name, &b), "%s: %s", c->form,
              t->name);
    if (!source_find(c->b, t->name, &b)) return HONE_OK;
    CHECK_MSG(a.n_dims == b.n_dims && !memcmp(a.ne, b.ne, sizeof a.ne), "%s: %s", c->form, t->name);
    float *x = malloc(2 * a.ne[0] * sizeof *x), *y = x + a.ne[0];
    /* the sinusoids are no halves */
    double bound = strcmp(t->name, "enc.position_embd.weight") ? 0 : 5e-4, largest = 0;
    for (size_t row = 0; row < a.ne[1] * a.ne[2]; row++) {
        quant_decode_row(a.type, x, tensor_row(&a, row), a.ne[0]);
        quant_decode_row(b.type, y, tensor_row(&b, row), a.ne[0]);
        for (size_t i = 0; i < a.ne[0]; i++)
            if (!(fabs((double)x[i] - (double)y[i]) <= largest))
                largest = fabs((double)x[i] - (double)y[i]);
    }
    CHECK_MSG(largest <= bound, "%s: %s differs by %g", c->form, t->name, largest);
    free(x);
    return HONE_OK;
}

static void compare_tokenizers(const model_source *a, const model_source *b, const char *form) {
    static const char *const texts[] = {
        "", " And so my fellow Americans", "Ask not what your country can do for you, 1961!",
        "Grüße aus Köln", "  two  spaces\n", "日本語のテスト", "naïve café – “quoted”", "<|notimestamps|>",
    };
    tokenizer_spec specs[2];
    tokenizer *t[2] = {NULL, NULL};
    if (!CHECK_OK(source_tokenizer(a, &specs[0])) || !CHECK_OK(source_tokenizer(b, &specs[1])))
        return;
    for (size_t k = 0; k < 2; k++) CHECK_OK(tokenizer_open(&t[k], &specs[k]));
    for (size_t i = 0; i < sizeof texts / sizeof *texts && t[0] && t[1]; i++) {
        token_list ids[2] = {{0}, {0}};
        for (size_t k = 0; k < 2; k++)
            CHECK_OK(tokenizer_encode(t[k], texts[i], strlen(texts[i]), NULL, 0, 0, &ids[k]));
        CHECK_MSG(ids[0].n == ids[1].n && (ids[0].n == 0 || !memcmp(ids[0].ids, ids[1].ids,
                                                                    ids[0].n * sizeof *ids[0].ids)),
                  "%s: \"%s\"", form, texts[i]);
        for (size_t k = 0; k < 2; k++) token_list_release(&ids[k]);
    }
    static const char *const special[] = {"<|endoftext|>", "<|startoftranscript|>", "<|su|>",
                                          "<|translate|>", "<|notimestamps|>"};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        int32_t id = tokenizer_find(t[1], special[i], strlen(special[i]));
        CHECK_MSG(id >= 0 && id == tokenizer_find(t[0], special[i], strlen(special[i])),
                  "%s: %s is %d", form, special[i], id);
    }
    for (size_t k = 0; k < 2; k++) {
        tokenizer_close(t[k]);
        tokenizer_spec_release(&specs[k]);
    }
}

static void check_model(const char *model) {
    char folder[4096], out[4096], path[8192];
    if (!make_forms(model, folder, out)) SKIP("no reference folder, or no Python");
    model_source reference;
    whisper_hparams h, other;
    if (!CHECK_OK(source_open(&reference, folder))) return;
    CHECK_OK(whisper_hparams_read(&h, &reference));
    for (size_t i = 0; i < N_FORMS; i++) {
        model_source s;
        snprintf(path, sizeof path, "%s/%s", out, forms[i]);
        if (!CHECK_OK(source_open(&s, path))) continue;
        if (CHECK_OK(whisper_hparams_read(&other, &s))) {
            CHECK(h.n_vocab == other.n_vocab && h.n_mels == other.n_mels &&
                  !memcmp(&h.encoder, &other.encoder, sizeof h.encoder) &&
                  !memcmp(&h.decoder, &other.decoder, sizeof h.decoder));
            whisper_hparams_release(&other);
        }
        comparison c = {&reference, &s, forms[i]};
        CHECK_OK(whisper_each_tensor(&h, compare_tensor, &c));
        compare_tokenizers(&reference, &s, forms[i]);
        source_release(&s);
    }
    whisper_hparams_release(&h);
    source_release(&reference);
    remove_forms(out);
}

static void multilingual_forms_say_the_same(void) { check_model("whisper-multilingual"); }
static void english_forms_say_the_same(void) { check_model("whisper-en"); }

/* --- broken files --- */

typedef hone_status parse_function(const uint8_t *data, size_t n);

static hone_status parse_ct2(const uint8_t *data, size_t n) {
    tensor_table *t = NULL;
    hone_status status = ct2_parse(&t, data, n, "WhisperSpec", "x");
    tensor_table_close(t);
    return status;
}

static hone_status parse_pytorch(const uint8_t *data, size_t n) {
    pytorch_file f = {0};
    hone_status status = pytorch_parse(&f, data, n, "model_state_dict", "x");
    pytorch_release(&f);
    return status;
}

static hone_status parse_ggml(const uint8_t *data, size_t n) {
    whisper_ggml w = {0};
    hone_status status = whisper_ggml_parse(&w, data, n, "x");
    whisper_ggml_release(&w);
    return status;
}

/* A file cut at any place is refused, and so is one whose n-th allocation fails. */
static void check_broken(const char *path, parse_function *parse, bool ends_anywhere) {
    file_map map;
    if (!CHECK_OK(file_map_open(&map, path))) return;
    CHECK_OK(parse(map.data, map.size));
    for (size_t i = 0; i < 60; i++) {
        size_t cut = i < 30 ? i * 7 : map.size / 60 * i;
        uint8_t *copy = malloc(cut + 1); /* so that reading beyond it shows */
        memcpy(copy, map.data, cut);
        hone_status status = parse(copy, cut);
        CHECK_MSG(status != HONE_OK || ends_anywhere, "%s cut at %zu", path, cut);
        free(copy);
    }
    for (long nth = 1; nth < 40; nth++) {
        mem_fail_from(nth);
        hone_status status = parse(map.data, map.size);
        long used = mem_count();
        mem_fail_from(0);
        CHECK(used < nth ? status == HONE_OK : status == HONE_ERR_MEMORY);
    }
    file_map_release(&map);
}

static void broken_files_are_refused(void) {
    char folder[4096], out[4096], path[8192];
    if (!make_forms("whisper-en", folder, out)) SKIP("no reference folder, or no Python");
    snprintf(path, sizeof path, "%s/ct2/model.bin", out);
    check_broken(path, parse_ct2, false);
    snprintf(path, sizeof path, "%s/openai/model.pt", out);
    check_broken(path, parse_pytorch, false);
    snprintf(path, sizeof path, "%s/ggml.bin", out);
    check_broken(path, parse_ggml, true); /* a cut between two tensors shows when they are missed */
    remove_forms(out);
}

/* --- pickles --- */

static void check_pickle(const char *bytes, size_t n, hone_status expected, const char *words) {
    pickle *p = NULL;
    hone_status status = pickle_parse(&p, (const uint8_t *)bytes, n, "x");
    CHECK_MSG(status == expected && (!words || strstr(hone_error_message(), words)), "%s: %s",
              hone_status_name(status), hone_error_message());
    pickle_close(p);
}
#define PICKLE(text, expected, words) check_pickle(text, sizeof text - 1, expected, words)

static void pickles_run_nothing(void) {
    PICKLE("\x80\x02" "cos\nsystem\nX\x04\0\0\0true\x85R.", HONE_ERR_UNSUPPORTED, "os.system");
    PICKLE("\x80\x04\x8c\x02os\x8c\x06system\x93.", HONE_ERR_UNSUPPORTED, "os.system");
    PICKLE("cbuiltins\neval\n.", HONE_ERR_UNSUPPORTED, "builtins.eval");
    PICKLE("ctorch\nload\n.", HONE_ERR_UNSUPPORTED, "torch.load");
    PICKLE("(i__main__\nX\n.", HONE_ERR_UNSUPPORTED, "0x69"); /* INST */
    PICKLE("P123\n.", HONE_ERR_UNSUPPORTED, "0x50");          /* PERSID */
    PICKLE("c\n", HONE_ERR_FORMAT, NULL);
}

static void pickles_that_are_malformed_are_refused(void) {
    PICKLE("", HONE_ERR_FORMAT, "ends");
    PICKLE(".", HONE_ERR_FORMAT, "stack");
    PICKLE("t.", HONE_ERR_FORMAT, "mark");
    PICKLE("(K\x01" "d.", HONE_ERR_FORMAT, "no value");
    PICKLE("]K\x01s.", HONE_ERR_FORMAT, "dict");
    PICKLE("h\x05.", HONE_ERR_FORMAT, "memo");
    PICKLE("q\x05.", HONE_ERR_FORMAT, "memo");
    PICKLE("X\xff\xff\xff\x7f.", HONE_ERR_FORMAT, NULL);
    PICKLE("]q\0]h\0ah\0h\0a.", HONE_OK, NULL); /* a list that holds itself */
}

static void pickles_hold_what_was_put_in(void) {
    /* {"a": (1, -2, 300), "b": [None, True, 1.5]} by protocol 2 */
    static const char bytes[] = "\x80\x02}q\0(X\x01\0\0\0aq\1K\1J\xfe\xff\xff\xffM\x2c\1\x87q\2"
                                "X\x01\0\0\0bq\3]q\4(N\x88G\x3f\xf8\0\0\0\0\0\0eu.";
    pickle *p = NULL;
    if (!CHECK_OK(pickle_parse(&p, (const uint8_t *)bytes, sizeof bytes - 1, "x"))) return;
    const pickle_value *a = pickle_get(pickle_root(p), "a"), *b = pickle_get(pickle_root(p), "b");
    CHECK(a && a->kind == PICKLE_TUPLE && a->list.n == 3 && a->list.items[1]->integer == -2 &&
          a->list.items[2]->integer == 300);
    CHECK(b && b->kind == PICKLE_LIST && b->list.n == 3 && b->list.items[0]->kind == PICKLE_NONE &&
          b->list.items[1]->kind == PICKLE_BOOL && b->list.items[2]->real == 1.5);
    CHECK(!pickle_get(pickle_root(p), "c"));
    pickle_close(p);
}

/* --- 8-bit CTranslate2 --- */

static size_t put_text(uint8_t *at, const char *text) {
    size_t n = strlen(text) + 1;
    at[0] = (uint8_t)n;
    at[1] = 0;
    memcpy(at + 2, text, n);
    return n + 2;
}

static size_t put_u32(uint8_t *at, uint32_t v) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> 8 * i);
    return 4;
}

static void eight_bit_weights_become_floats(void) {
    uint8_t file[256], *p = file;
    const int8_t values[6] = {127, -127, 0, 1, 2, -3};
    const float scales[2] = {127, 2};
    p += put_u32(p, 6);
    p += put_text(p, "WhisperSpec");
    p += put_u32(p, 3);
    p += put_u32(p, 2);
    p += put_text(p, "x/weight");
    *p++ = 2;
    p += put_u32(p, 2);
    p += put_u32(p, 3);
    *p++ = 1;
    p += put_u32(p, 6);
    memcpy(p, values, 6);
    p += 6;
    p += put_text(p, "x/weight_scale");
    *p++ = 1;
    p += put_u32(p, 2);
    *p++ = 0;
    p += put_u32(p, 8);
    memcpy(p, scales, 8);
    p += 8;
    p += put_u32(p, 0);
    tensor_table *t = NULL;
    if (!CHECK_OK(ct2_parse(&t, file, (size_t)(p - file), "WhisperSpec", "x"))) return;
    const named_tensor *w = tensor_table_find(t, "x/weight");
    const float want[6] = {1, -1, 0, 0.5f, 1, -1.5f};
    CHECK(tensor_table_count(t) == 1 && w && w->view.type == DTYPE_F32 &&
          !memcmp(w->view.data, want, sizeof want));
    tensor_table_close(t);
    CHECK(ct2_parse(&t, file, (size_t)(p - file), "TransformerSpec", "x") == HONE_ERR_UNSUPPORTED);
}

int main(void) {
    RUN(multilingual_forms_say_the_same);
    RUN(english_forms_say_the_same);
    RUN(broken_files_are_refused);
    RUN(pickles_run_nothing);
    RUN(pickles_that_are_malformed_are_refused);
    RUN(pickles_hold_what_was_put_in);
    RUN(eight_bit_weights_become_floats);
    return test_summary();
}
