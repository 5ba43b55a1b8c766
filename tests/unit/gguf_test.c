/* The GGUF reader: what it promises of good files, and that bad ones are refused with words. */
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "files.h"
#include "format/gguf.h"
#include "test.h"

/* --- files made by hand --- */

static buf made;

static void put(const void *bytes, size_t n) { CHECK_OK(buf_add(&made, bytes, n)); }
static void put_u32(uint32_t value) { put(&value, sizeof value); }
static void put_u64(uint64_t value) { put(&value, sizeof value); }

static void put_text(const char *text) {
    put_u64(strlen(text));
    put(text, strlen(text));
}

static void begin(uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
    buf_release(&made);
    buf_init(&made, 1 << 20);
    put("GGUF", 4);
    put_u32(version);
    put_u64(n_tensors);
    put_u64(n_keys);
}

static void put_key_u32(const char *key, uint32_t value) {
    put_text(key);
    put_u32(GGUF_U32);
    put_u32(value);
}

static void put_tensor(const char *name, uint32_t type, uint64_t ne0, uint64_t ne1,
                       uint64_t offset) {
    put_text(name);
    put_u32(2);
    put_u64(ne0);
    put_u64(ne1);
    put_u32(type);
    put_u64(offset);
}

static void put_data(size_t n) {
    static const char zeroes[4096];
    put(zeroes, -made.len & 31);
    put(zeroes, n);
}

/* Parses a copy of exactly n bytes and frees everything. */
static hone_status parse_bytes(const void *bytes, size_t n, bool with_data) {
    uint8_t *copy = malloc(n ? n : 1);
    gguf *file = NULL;
    memcpy(copy, bytes, n);
    hone_status status = gguf_parse(&file, copy, n, "made", with_data);
    CHECK((status == HONE_OK) == (file != NULL));
    gguf_close(file);
    free(copy);
    return status;
}

static hone_status parse_made(void) { return parse_bytes(made.data, made.len, true); }

/* Whether the file just made is refused with that status and a sentence that holds `words`. */
static bool is_refused(hone_status expected, const char *words) {
    hone_status status = parse_made();
    if (status == expected && strstr(hone_error_message(), words)) return true;
    printf("expected %s with \"%s\", got %s: %s\n", hone_status_name(expected), words,
           hone_status_name(status), status == HONE_OK ? "" : hone_error_message());
    return false;
}

/* A small file with a key of every type and two tensors. */
static void make_sample(void) {
    const uint8_t scalars[] = {0x80, 1, 2, 3, 4, 5, 6, 0x7f};
    const char *keys[] = {"t.u8",  "t.i8",   "t.u16",    "t.i16",    "t.u32", "t.i32", "t.f32",
                          "t.bool", "t.text", "t.u8s", "t.u64", "t.i64",   "t.f64"};
    const size_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    begin(3, 2, 14);
    for (uint32_t type = 0; type < 13; type++) {
        put_text(keys[type]);
        put_u32(type);
        if (type == GGUF_STRING) put_text("words");
        if (type == GGUF_ARRAY) {
            put_u32(GGUF_U8);
            put_u64(sizeof scalars);
            put(scalars, sizeof scalars);
        }
        put(scalars, bytes[type]);
    }
    put_text("t.texts");
    put_u32(GGUF_ARRAY);
    put_u32(GGUF_STRING);
    put_u64(3);
    put_text("one");
    put_text("");
    put_text("three");
    put_tensor("a", DTYPE_F32, 3, 2, 0);
    put_tensor("b", DTYPE_Q8_0, 32, 2, 32);
    put_data(32 + 68 + 28);
}

/* --- the reference's cases --- */

static void check_case(const char *folder, const json_t *row) {
    const char *name = json_string_value(json_object_get(row, "file"));
    bool with_data = json_is_true(json_object_get(row, "load_with_data"));
    bool expect_ok = json_is_true(json_object_get(row, "expect_ok"));
    size_t size = 0;
    uint8_t *bytes = test_read_file(test_path(folder, name), &size);
    CHECK_MSG(bytes != NULL, "%s", name);
    if (!bytes) return;
    gguf *file = NULL;
    hone_status status = gguf_parse(&file, bytes, size, name, with_data);
    CHECK_MSG((status == HONE_OK) == expect_ok, "%s: %s %s", name, hone_status_name(status),
              hone_error_message());
    if (status != HONE_OK) CHECK(strncmp(hone_error_message(), name, strlen(name)) == 0);
    gguf_close(file);
    free(bytes);
}

static void reference_cases_are_judged_as_by_ggml(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    char folder[500], line[1000];
    snprintf(folder, sizeof folder, "%s/data/gguf-malformed", shared);
    FILE *index = fopen(test_path(folder, "index.jsonl"), "r");
    if (!index) SKIP("no index.jsonl");
    int n = 0;
    for (; fgets(line, sizeof line, index); n++) {
        json_t *row;
        if (!CHECK_OK(json_parse(&row, line, strlen(line), "index.jsonl"))) continue;
        check_case(folder, row);
        json_decref(row);
    }
    fclose(index);
    CHECK(n >= 31);
}

static void a_trained_model_opens(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    gguf *file;
    if (!CHECK_OK(gguf_open(&file, test_path(shared, "models/stories260K.gguf")))) return;
    uint64_t width = 0;
    gguf_string architecture = {0};
    CHECK(gguf_get_string(file, "general.architecture", &architecture));
    CHECK(architecture.n == 5 && memcmp(architecture.data, "llama", 5) == 0);
    CHECK(gguf_get_u64(file, "llama.embedding_length", &width) && width == 64);
    const gguf_tensor *t = gguf_find_tensor(file, "token_embd.weight");
    CHECK(t && t->view.ne[0] == 64 && t->view.ne[1] == 512 && t->view.n_dims == 2 && t->file == 0);
    CHECK(t && t->bytes == t->view.row_bytes * 512 && t->view.data);
    CHECK(gguf_find_tensor(file, "token_embd.weigh") == NULL);
    gguf_close(file);
}

/* --- values --- */

static void every_type_is_read(void) {
    gguf *file;
    uint64_t u = 99;
    double f = 99;
    bool flag = false;
    gguf_string text = {0};
    make_sample();
    if (!CHECK_OK(gguf_parse(&file, (uint8_t *)made.data, made.len, "made", true))) return;
    CHECK(gguf_version(file) == 3 && gguf_file_bytes(file) == made.len);
    CHECK(gguf_n_kv(file) == 14 && gguf_n_tensors(file) == 2);
    CHECK(gguf_get_u64(file, "t.u8", &u) && u == 0x80);
    CHECK(gguf_get_u64(file, "t.u16", &u) && u == 0x180);
    CHECK(gguf_get_u64(file, "t.u32", &u) && u == 0x03020180);
    CHECK(gguf_get_u64(file, "t.i64", &u) && u == 0x7f06050403020180);
    CHECK(gguf_get_f64(file, "t.i8", &f) && f == -128);
    CHECK(gguf_get_f64(file, "t.u8", &f) && f == 128);
    CHECK(gguf_get_f64(file, "t.f32", &f) && f > 0 && f < 1e-30);
    CHECK(gguf_get_f64(file, "t.f64", &f) && f > 1e300);
    CHECK(gguf_get_bool(file, "t.bool", &flag) && flag);
    CHECK(gguf_get_string(file, "t.text", &text) && text.n == 5 && !memcmp(text.data, "words", 5));

    u = 99, f = 99;
    CHECK(!gguf_get_u64(file, "t.i8", &u) && u == 99); /* negative */
    CHECK(!gguf_get_u64(file, "t.f32", &u) && !gguf_get_u64(file, "t.bool", &u));
    CHECK(!gguf_get_u64(file, "t.u8s", &u) && !gguf_get_u64(file, "missing", &u) && u == 99);
    CHECK(!gguf_get_f64(file, "t.text", &f) && f == 99);
    CHECK(!gguf_get_bool(file, "t.u8", &flag) && !gguf_get_string(file, "t.texts", &text));
    gguf_close(file);
}

static void arrays_are_walked_to_their_end(void) {
    gguf *file;
    uint64_t u = 99;
    size_t cursor = 0, n = 0;
    gguf_string text;
    const char *expected[] = {"one", "", "three"};
    make_sample();
    if (!CHECK_OK(gguf_parse(&file, (uint8_t *)made.data, made.len, "made", true))) return;
    const gguf_kv *numbers = gguf_find(file, "t.u8s"), *texts = gguf_find(file, "t.texts");
    CHECK(numbers->type == GGUF_ARRAY && numbers->element == GGUF_U8 && numbers->count == 8);
    CHECK(gguf_element_u64(numbers, 7, &u) && u == 0x7f);
    CHECK(!gguf_element_u64(numbers, 8, &u) && u == 0x7f);
    CHECK(texts->count == 3 && !gguf_element_u64(texts, 0, &u));
    for (; gguf_next_string(texts, &cursor, &text) && n < 3; n++)
        CHECK(text.n == strlen(expected[n]) && memcmp(text.data, expected[n], text.n) == 0);
    CHECK(n == 3 && !gguf_next_string(texts, &cursor, &text));
    cursor = 0;
    CHECK(!gguf_next_string(numbers, &cursor, &text));
    gguf_close(file);
}

static void tensors_lie_where_the_file_says(void) {
    gguf *file;
    make_sample();
    size_t data_at = made.len - 128;
    if (!CHECK_OK(gguf_parse(&file, (uint8_t *)made.data, made.len, "made", true))) return;
    const gguf_tensor *a = gguf_tensor_at(file, 0), *b = gguf_find_tensor(file, "b");
    CHECK(a->view.data == made.data + data_at && a->bytes == 24 && a->view.row_bytes == 12);
    CHECK(b->view.data == made.data + data_at + 32 && b->bytes == 68 && b->view.row_bytes == 34);
    CHECK(b->view.ne[0] == 32 && b->view.ne[1] == 2 && b->view.ne[2] == 1 && b->view.ne[3] == 1);
    gguf_close(file);
    if (!CHECK_OK(gguf_parse(&file, (uint8_t *)made.data, data_at, "made", false))) return;
    CHECK(gguf_tensor_at(file, 0)->view.data == NULL);
    gguf_close(file);
}

/* --- refusals --- */

static void other_versions_are_refused_by_word(void) {
    begin(1, 0, 0);
    CHECK(is_refused(HONE_ERR_UNSUPPORTED, "GGUF version 1;"));
    begin(0x03000000, 0, 0);
    CHECK(is_refused(HONE_ERR_UNSUPPORTED, "big-endian"));
    begin(4, 0, 0);
    CHECK(is_refused(HONE_ERR_UNSUPPORTED, "GGUF version 4;"));
    begin(2, 0, 0);
    CHECK_OK(parse_made());
    made.data[0] = 'g';
    CHECK(is_refused(HONE_ERR_FORMAT, "not a GGUF file"));
}

static void counts_that_do_not_fit_the_file_are_refused(void) {
    begin(3, 1000, 0);
    CHECK(is_refused(HONE_ERR_FORMAT, "number of tensors"));
    begin(3, 0, 60000);
    CHECK(is_refused(HONE_ERR_FORMAT, "number of keys"));
    begin(3, 0, 1);
    put_text("k");
    put_u32(GGUF_ARRAY);
    put_u32(GGUF_U64);
    put_u64(UINT64_MAX / 8 + 1);
    CHECK(is_refused(HONE_ERR_FORMAT, "key 'k': truncated"));
    begin(3, 0, 1);
    put_text("k");
    put_u32(GGUF_STRING);
    put_u64(UINT64_MAX);
    CHECK(is_refused(HONE_ERR_FORMAT, "key 'k': truncated"));
}

static void bad_keys_are_refused_by_name(void) {
    begin(3, 0, 1);
    put_text("k");
    put_u32(GGUF_ARRAY);
    put_u32(GGUF_ARRAY);
    put_u64(0);
    CHECK(is_refused(HONE_ERR_UNSUPPORTED, "key 'k': an array of arrays"));
    begin(3, 0, 1);
    put_text("k");
    put_u32(13);
    put_u64(0);
    CHECK(is_refused(HONE_ERR_FORMAT, "key 'k': type 13"));
    begin(3, 0, 2);
    put_key_u32("same", 1);
    put_key_u32("same", 1);
    CHECK(is_refused(HONE_ERR_FORMAT, "key 'same' occurs twice"));
    begin(3, 0, 1);
    put_key_u32("\xff\xfe", 1);
    CHECK(is_refused(HONE_ERR_FORMAT, "not UTF-8"));
}

static void alignment_is_a_power_of_two(void) {
    const uint32_t bad[] = {0, 12, 33, 1u << 31};
    for (size_t i = 0; i < 4; i++) {
        begin(3, 0, 1);
        put_key_u32("general.alignment", bad[i]);
        CHECK(is_refused(HONE_ERR_FORMAT, "general.alignment"));
    }
    begin(3, 0, 1);
    put_text("general.alignment");
    put_u32(GGUF_U64);
    put_u64(32);
    CHECK(is_refused(HONE_ERR_FORMAT, "type 10, expected 4"));
    begin(3, 1, 1);
    put_key_u32("general.alignment", 64);
    put_tensor("a", DTYPE_F32, 1, 1, 32);
    CHECK(is_refused(HONE_ERR_FORMAT, "tensor 'a': offset 32 is not a multiple"));
}

static void bad_tensors_are_refused_by_name(void) {
    const struct {
        const char *name;
        uint32_t type;
        uint64_t ne0, ne1, offset;
        hone_status status;
        const char *words;
    } rows[] = {
        {"a", 4, 32, 1, 0, HONE_ERR_UNSUPPORTED, "tensor 'a': type 4 (Q4_2) was removed"},
        {"a", 37, 32, 1, 0, HONE_ERR_UNSUPPORTED, "(IQ4_NL_4_8) was removed"},
        {"a", 43, 32, 1, 0, HONE_ERR_UNSUPPORTED, "type number 43"},
        {"a", UINT32_MAX, 32, 1, 0, HONE_ERR_UNSUPPORTED, "type number 4294967295"},
        {"a", DTYPE_Q8_0, 33, 1, 0, HONE_ERR_FORMAT, "Q8_0 needs a multiple of 32"},
        {"a", DTYPE_Q4_K, 128, 1, 0, HONE_ERR_FORMAT, "Q4_K needs a multiple of 256"},
        {"a", DTYPE_F32, 0, 1, 0, HONE_ERR_FORMAT, "dimension 0 is 0"},
        {"a", DTYPE_F32, 1, UINT64_MAX, 0, HONE_ERR_FORMAT, "dimension 1 is"},
        {"a", DTYPE_F32, 1ull << 40, 1ull << 40, 0, HONE_ERR_FORMAT, "too many"},
        {"a", DTYPE_F32, 8, 1, 16, HONE_ERR_FORMAT, "offset 16"},
        {"a", DTYPE_F32, 8, 1, 1ull << 63, HONE_ERR_FORMAT, "too large"},
        {"a", DTYPE_F32, 8, 1, 128, HONE_ERR_FORMAT, "truncated: tensor 'a'"},
        {"a", DTYPE_F32, 33, 1, 0, HONE_ERR_FORMAT, "truncated: tensor 'a'"},
        {"", DTYPE_F32, 8, 1, 0, HONE_ERR_FORMAT, "tensor 1 of 1: the name has 0 bytes"},
        {"0123456789012345678901234567890123456789012345678901234567890123", DTYPE_F32, 8, 1, 0,
         HONE_ERR_FORMAT, "the name has 64 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(3, 1, 0);
        put_tensor(rows[i].name, rows[i].type, rows[i].ne0, rows[i].ne1, rows[i].offset);
        put_data(128);
        CHECK_MSG(is_refused(rows[i].status, rows[i].words), "row %zu", i);
    }
    begin(3, 1, 0);
    put_tensor("012345678901234567890123456789012345678901234567890123456789012", 0, 8, 1, 0);
    put_data(128);
    CHECK_OK(parse_made());
    for (uint32_t n_dims = 0; n_dims < 6; n_dims += 5) {
        begin(3, 1, 0);
        put_text("a");
        put_u32(n_dims);
        put_data(128);
        CHECK(is_refused(HONE_ERR_FORMAT, "expected 1 to 4"));
    }
}

static void tensors_may_leave_gaps_but_not_overlap(void) {
    begin(3, 3, 0);
    put_tensor("late", DTYPE_F32, 8, 1, 128);
    put_tensor("early", DTYPE_F32, 9, 1, 0);
    put_tensor("middle", DTYPE_F32, 1, 1, 64);
    put_data(160);
    CHECK_OK(parse_made());
    begin(3, 3, 0);
    put_tensor("late", DTYPE_F32, 8, 1, 64);
    put_tensor("early", DTYPE_F32, 9, 1, 0);
    put_tensor("middle", DTYPE_F32, 1, 1, 32);
    put_data(160);
    CHECK(is_refused(HONE_ERR_FORMAT, "tensors 'early' and 'middle' overlap"));
    begin(3, 2, 0);
    put_tensor("same", DTYPE_F32, 8, 1, 0);
    put_tensor("same", DTYPE_F32, 8, 1, 32);
    put_data(64);
    CHECK(is_refused(HONE_ERR_FORMAT, "tensor 'same' occurs twice"));
}

static void types_that_cannot_be_read_stop_at_open(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "iq2.gguf");
    gguf *file;
    begin(3, 1, 0);
    put_tensor("a", 16, 256, 2, 0);
    put_data(2 * 66 + 28);
    if (CHECK_OK(gguf_parse(&file, (uint8_t *)made.data, made.len, "made", true))) {
        const gguf_tensor *t = gguf_tensor_at(file, 0);
        CHECK(t->bytes == 132 && dtype_get(t->view.type)->block_bytes == 0);
        gguf_close(file);
    }
    CHECK(test_write_file(path, made.data, made.len));
    CHECK(gguf_open(&file, path) == HONE_ERR_UNSUPPORTED);
    CHECK(strstr(hone_error_message(), path) && strstr(hone_error_message(), "IQ2_XXS"));
    test_folder_remove(&folder);
}

static void missing_files_and_folders_are_errors(void) {
    test_folder folder = test_folder_make();
    gguf *file;
    CHECK(gguf_open(&file, test_path(folder.path, "none.gguf")) == HONE_ERR_NOT_FOUND);
    CHECK(gguf_open(&file, folder.path) == HONE_ERR_IO);
    CHECK(test_write_file(test_path(folder.path, "empty.gguf"), "", 0));
    CHECK(gguf_open(&file, test_path(folder.path, "empty.gguf")) == HONE_ERR_FORMAT);
    test_folder_remove(&folder);
}

/* --- damage --- */

static void every_truncation_is_handled(void) {
    make_sample();
    size_t padded_end = made.len, end = made.len - 28, data_at = made.len - 128;
    size_t head = data_at; /* the head ends somewhere in the padding before the data */
    while (head > data_at - 32 && parse_bytes(made.data, head - 1, false) == HONE_OK) head--;
    CHECK(head > data_at - 32);
    for (size_t n = 0; n <= padded_end; n++) {
        bool complete = n == end || n == padded_end;
        hone_status expected = complete ? HONE_OK : HONE_ERR_FORMAT;
        CHECK_MSG(parse_bytes(made.data, n, true) == expected, "%zu of %zu", n, padded_end);
        expected = n >= head ? HONE_OK : HONE_ERR_FORMAT;
        CHECK_MSG(parse_bytes(made.data, n, false) == expected, "head: %zu of %zu", n, head);
    }
}

/* Everything that the views of an accepted file show. */
static unsigned sum_of_views(const gguf *file) {
    unsigned sum = 0;
    for (size_t i = 0; i < gguf_n_kv(file); i++) {
        const gguf_kv *kv = gguf_kv_at(file, i);
        gguf_string text;
        size_t cursor = 0;
        for (size_t b = 0; b < kv->bytes; b++) sum += kv->data[b];
        while (gguf_next_string(kv, &cursor, &text))
            for (size_t b = 0; b < text.n; b++) sum += (unsigned char)text.data[b];
    }
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        for (size_t b = 0; b < t->bytes; b++) sum += ((const uint8_t *)t->view.data)[b];
    }
    return sum;
}

static void flipped_bytes_are_handled(void) {
    const char *given = getenv("HONE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    int accepted = 0, refused = 0;
    printf("flipped_bytes_are_handled: HONE_SEED=%u\n", seed);
    srand(seed);
    make_sample();
    for (int round = 0; round < 20000; round++) {
        uint8_t *copy = malloc(made.len);
        memcpy(copy, made.data, made.len);
        for (int flips = 1 + rand() % 3; flips > 0; flips--)
            copy[(size_t)rand() % made.len] ^= (uint8_t)(1 << rand() % 8);
        gguf *file = NULL;
        if (gguf_parse(&file, copy, made.len, "flipped", true) == HONE_OK) {
            sum_of_views(file);
            accepted++;
        } else {
            CHECK(strncmp(hone_error_message(), "flipped: ", 9) == 0);
            refused++;
        }
        gguf_close(file);
        free(copy);
    }
    CHECK_MSG(accepted > 1000 && refused > 1000, "%d accepted, %d refused", accepted, refused);
}

static void short_memory_is_reported_and_leaks_nothing(void) {
    make_sample();
    long n = 1;
    hone_status status = HONE_ERR_MEMORY;
    for (; n < 100 && status != HONE_OK; n++) {
        mem_fail_from(n);
        status = parse_made();
        mem_fail_from(0);
        CHECK(status == HONE_OK || status == HONE_ERR_MEMORY);
    }
    CHECK(n > 5 && status == HONE_OK);
}

int main(void) {
    RUN(reference_cases_are_judged_as_by_ggml);
    RUN(a_trained_model_opens);
    RUN(every_type_is_read);
    RUN(arrays_are_walked_to_their_end);
    RUN(tensors_lie_where_the_file_says);
    RUN(other_versions_are_refused_by_word);
    RUN(counts_that_do_not_fit_the_file_are_refused);
    RUN(bad_keys_are_refused_by_name);
    RUN(alignment_is_a_power_of_two);
    RUN(bad_tensors_are_refused_by_name);
    RUN(tensors_may_leave_gaps_but_not_overlap);
    RUN(types_that_cannot_be_read_stop_at_open);
    RUN(missing_files_and_folders_are_errors);
    RUN(every_truncation_is_handled);
    RUN(flipped_bytes_are_handled);
    RUN(short_memory_is_reported_and_leaks_nothing);
    buf_release(&made);
    return test_summary();
}
