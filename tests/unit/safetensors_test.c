/* The safetensors reader: good files, the reference's bad ones, folders with several files. */
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "files.h"
#include "format/safetensors.h"
#include "test.h"

/* A file of that header and n bytes of data (0, 1, 2, …). Free it. */
static uint8_t *make_file(const char *header, size_t n, size_t *size) {
    uint64_t header_bytes = strlen(header);
    *size = 8 + header_bytes + n;
    uint8_t *bytes = malloc(*size);
    memcpy(bytes, &header_bytes, 8);
    memcpy(bytes + 8, header, header_bytes);
    for (size_t i = 0; i < n; i++) bytes[8 + header_bytes + i] = (uint8_t)i;
    return bytes;
}

static hone_status parse_file(const char *header, size_t n) {
    size_t size;
    uint8_t *bytes = make_file(header, n, &size);
    safetensors *st = NULL;
    hone_status status = safetensors_parse(&st, bytes, size, "made");
    CHECK((status == HONE_OK) == (st != NULL));
    safetensors_close(st);
    free(bytes);
    return status;
}

#define SAMPLE                                                                       \
    "{\"__metadata__\":{\"format\":\"pt\",\"empty\":\"\"},"                          \
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[5,17]},"            \
    "\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[5],\"data_offsets\":[0,5]},"            \
    "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[17,21]},"          \
    "\"none\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[21,21]}}  "
#define SAMPLE_DATA 21

/* --- reference files --- */

static void reference_cases_are_judged_alike(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    char folder[500];
    snprintf(folder, sizeof folder, "%s/data/vectors/safetensors", shared);
    json_t *rows, *row;
    size_t i, n_ok = 0, n_refused = 0;
    if (!CHECK_OK(json_parse_file(&rows, test_path(folder, "index.json"), 1 << 20))) return;
    json_array_foreach(rows, i, row) {
        const char *name = json_string_value(json_object_get(row, "file"));
        const char *expect = json_string_value(json_object_get(row, "expect"));
        size_t size = 0;
        unsigned char *bytes = test_read_file(test_path(folder, name), &size);
        safetensors *st = NULL;
        CHECK_MSG(bytes != NULL, "%s", name);
        hone_status status = safetensors_parse(&st, bytes, size, name);
        bool expect_ok = strcmp(expect, "ok") == 0;
        CHECK_MSG((status == HONE_OK) == expect_ok, "%s: %s, expected %s", name,
                  hone_error_message(), expect);
        CHECK(expect_ok || strncmp(hone_error_message(), name, strlen(name)) == 0);
        *(expect_ok ? &n_ok : &n_refused) += 1;
        safetensors_close(st);
        free(bytes);
    }
    json_decref(rows);
    CHECK_MSG(n_ok >= 6 && n_refused >= 11, "%zu and %zu", n_ok, n_refused);
}

static void golden_models_open(void) {
    const char *shared = test_shared();
    const char *names[] = {"qwen2-tied", "qwen2-untied", "llama-smol", "llama3-rope", "deepseek2",
                           "vl2", "blip-vqa", "blip-caption", "blip2-opt", "whisper-en"};
    if (!shared) SKIP("no reference data");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[500];
        safetensors *by_folder, *by_file;
        snprintf(folder, sizeof folder, "%s/golden/%s", shared, names[i]);
        if (!CHECK_OK(safetensors_open(&by_folder, folder))) continue;
        if (CHECK_OK(safetensors_open(&by_file, test_path(folder, "model.safetensors")))) {
            CHECK(safetensors_count(by_folder) > 10);
            CHECK(safetensors_count(by_folder) == safetensors_count(by_file));
            safetensors_close(by_file);
        }
        safetensors_close(by_folder);
    }
}

static void a_model_in_several_files_opens_as_one(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    safetensors *st;
    json_t *index, *file;
    const char *name;
    if (!CHECK_OK(safetensors_open(&st, test_path(shared, "golden/llama-spm")))) return;
    const char *index_path = test_path(shared, "golden/llama-spm/model.safetensors.index.json");
    if (CHECK_OK(json_parse_file(&index, index_path, 1 << 20))) {
        json_t *weight_map = json_object_get(index, "weight_map");
        CHECK(json_object_size(weight_map) == safetensors_count(st));
        json_object_foreach(weight_map, name, file)
            CHECK_MSG(safetensors_find(st, name), "%s", name);
        json_decref(index);
    }
    const safetensors_entry *e = safetensors_find(st, "model.embed_tokens.weight");
    CHECK(e && e->view.n_dims == 2 && e->view.ne[0] > 1 && e->view.data);
    safetensors_close(st);
}

/* --- values --- */

static void entries_tell_type_shape_and_place(void) {
    size_t size;
    uint8_t *bytes = make_file(SAMPLE, SAMPLE_DATA, &size);
    const uint8_t *data = bytes + size - SAMPLE_DATA;
    safetensors *st;
    if (!CHECK_OK(safetensors_parse(&st, bytes, size, "made"))) return;
    const safetensors_entry *a = safetensors_find(st, "a"), *b = safetensors_find(st, "b");
    const safetensors_entry *scalar = safetensors_find(st, "scalar");
    const safetensors_entry *none = safetensors_find(st, "none");
    CHECK(safetensors_count(st) == 4 && safetensors_file_bytes(st) == size);
    CHECK(b == safetensors_at(st, 0) && strcmp(b->name, "b") == 0);
    CHECK(b->view.type == DTYPE_BF16 && b->view.data == data + 5 && b->bytes == 12);
    CHECK(b->view.n_dims == 2 && b->view.ne[0] == 3 && b->view.ne[1] == 2 && b->view.ne[2] == 1);
    CHECK(b->view.row_bytes == 6 && strcmp(b->dtype_name, "BF16") == 0);
    CHECK((int)a->view.type == -1 && strcmp(a->dtype_name, "F8_E4M3") == 0);
    CHECK(scalar->view.n_dims == 0 && scalar->view.ne[0] == 1 && scalar->bytes == 4);
    CHECK(none->bytes == 0 && none->view.ne[0] == 7 && none->view.ne[1] == 0);
    CHECK(safetensors_find(st, "c") == NULL && safetensors_find(st, "__metadata__") == NULL);
    CHECK(strcmp(safetensors_metadata(st, "format"), "pt") == 0);
    CHECK(safetensors_metadata(st, "missing") == NULL);
    safetensors_close(st);
    free(bytes);
}

static void broken_headers_are_refused_with_words(void) {
    const struct {
        const char *header;
        size_t n;
        hone_status status;
        const char *words;
    } rows[] = {
        {"[]", 0, HONE_ERR_FORMAT, "expected an object, found array"},
        {"{\"a\":1}", 0, HONE_ERR_FORMAT, "tensor 'a': expected an object, found integer"},
        {"{}", 1, HONE_ERR_FORMAT, "end at byte 0 of a buffer of 1"},
        {"{\"__metadata__\":{\"a\":1}}", 0, HONE_ERR_FORMAT, "'a': expected a string"},
        {"{\"__metadata__\":[]}", 0, HONE_ERR_FORMAT, "__metadata__: expected an object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, HONE_ERR_FORMAT,
         "duplicate"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, HONE_ERR_FORMAT, "dtype: expected"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
         HONE_ERR_UNSUPPORTED, "tensor 'a': dtype F4 is unknown"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, HONE_ERR_FORMAT, "shape: exp"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, HONE_ERR_FORMAT,
         "whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
         HONE_ERR_UNSUPPORTED, "5 dimensions"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         HONE_ERR_FORMAT, "more elements"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, HONE_ERR_FORMAT,
         "two whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, HONE_ERR_FORMAT,
         "data_offsets 1 to 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, HONE_ERR_FORMAT,
         "in a buffer of 1 bytes"},
        {"{\"a\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, HONE_ERR_FORMAT,
         "span 1 bytes, dtype and shape need 2"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}", 3, HONE_ERR_FORMAT,
         "a hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, HONE_ERR_FORMAT,
         "overlap"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_status status = parse_file(rows[i].header, rows[i].n);
        CHECK_MSG(status == rows[i].status && strstr(hone_error_message(), rows[i].words),
                  "row %zu: %s: %s", i, hone_status_name(status), hone_error_message());
    }
}

static void empty_tensors_may_stand_anywhere(void) {
    CHECK_OK(parse_file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                        "\"none\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 1));
    CHECK(parse_file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                     "\"none\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]}}", 2) ==
          HONE_ERR_FORMAT);
}

static void header_lengths_are_checked(void) {
    uint64_t n = 100000001;
    safetensors *st;
    CHECK(safetensors_parse(&st, (uint8_t *)&n, 8, "made") == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), "at most 100000000"));
    n = 1;
    CHECK(safetensors_parse(&st, (uint8_t *)&n, 8, "made") == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), "truncated"));
    CHECK(safetensors_parse(&st, (uint8_t *)&n, 7, "made") == HONE_ERR_FORMAT);
    CHECK(safetensors_parse(&st, NULL, 0, "made") == HONE_ERR_FORMAT);
}

/* --- folders --- */

#define ONE(name) \
    "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"

static void write_tensors(const test_folder *folder, const char *name, const char *header) {
    size_t size;
    uint8_t *bytes = make_file(header, 1, &size);
    CHECK(test_write_file(test_path(folder->path, name), bytes, size));
    free(bytes);
}

static hone_status open_with_index(const test_folder *folder, const char *index) {
    safetensors *st = NULL;
    const char *path = test_path(folder->path, "model.safetensors.index.json");
    CHECK(test_write_file(path, index, strlen(index)));
    hone_status status = safetensors_open(&st, folder->path);
    CHECK(status != HONE_OK || safetensors_count(st) == 2);
    safetensors_close(st);
    return status;
}

static void an_index_names_files_beside_it_only(void) {
    const char *bad[] = {"../a.safetensors", "/a.safetensors", "x/a.safetensors", ".", "..", "",
                         "x\\\\a.safetensors", ".hidden"};
    test_folder folder = test_folder_make();
    write_tensors(&folder, "a.safetensors", ONE("a"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char index[200];
        snprintf(index, sizeof index, "{\"weight_map\":{\"a\":\"%s\"}}", bad[i]);
        CHECK_MSG(open_with_index(&folder, index) == HONE_ERR_FORMAT &&
                      strstr(hone_error_message(), "the name of a file beside the index"),
                  "%s: %s", bad[i], hone_error_message());
    }
    test_folder_remove(&folder);
}

static void an_index_must_be_true(void) {
    test_folder folder = test_folder_make();
    safetensors *st;
    CHECK(safetensors_open(&st, folder.path) == HONE_ERR_NOT_FOUND);
    write_tensors(&folder, "a.safetensors", ONE("a"));
    write_tensors(&folder, "b.safetensors", ONE("b"));
    write_tensors(&folder, "again.safetensors", ONE("a"));
    CHECK_OK(open_with_index(&folder, "{\"metadata\":{\"total_size\":2},\"weight_map\":"
                                      "{\"a\":\"a.safetensors\",\"b\":\"b.safetensors\"}}"));
    const struct {
        const char *index;
        hone_status status;
        const char *words;
    } rows[] = {
        {"{}", HONE_ERR_FORMAT, "weight_map: expected an object"},
        {"{\"weight_map\":{}}", HONE_ERR_FORMAT, "weight_map: expected an object"},
        {"{\"weight_map\":{\"a\":1}}", HONE_ERR_FORMAT, "found integer"},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}", HONE_ERR_NOT_FOUND, "none.safetensors"},
        {"{\"weight_map\":{\"c\":\"a.safetensors\"}}", HONE_ERR_FORMAT,
         "tensor 'c' is not in a.safetensors"},
        {"{\"weight_map\":{\"a\":\"b.safetensors\",\"b\":\"a.safetensors\"}}", HONE_ERR_FORMAT,
         "tensor 'a' is not in b.safetensors"},
        {"{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"again.safetensors\"}}",
         HONE_ERR_FORMAT, "tensor 'a' is in another file too"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hone_status status = open_with_index(&folder, rows[i].index);
        CHECK_MSG(status == rows[i].status && strstr(hone_error_message(), rows[i].words),
                  "row %zu: %s: %s", i, hone_status_name(status), hone_error_message());
        CHECK(strstr(hone_error_message(), "index.json"));
    }
    test_folder_remove(&folder);
}

/* --- damage --- */

static void every_truncation_is_refused(void) {
    size_t size;
    uint8_t *bytes = make_file(SAMPLE, SAMPLE_DATA, &size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        safetensors *st;
        memcpy(copy, bytes, n);
        CHECK_MSG(safetensors_parse(&st, copy, n, "made") == HONE_ERR_FORMAT, "%zu", n);
        free(copy);
    }
    free(bytes);
}

static void flipped_bytes_are_handled(void) {
    const char *given = getenv("HONE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    size_t size, accepted = 0, refused = 0;
    unsigned sum = 0;
    uint8_t *bytes = make_file(SAMPLE, SAMPLE_DATA, &size), *copy = malloc(size);
    printf("flipped_bytes_are_handled: HONE_SEED=%u\n", seed);
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        safetensors *st = NULL;
        memcpy(copy, bytes, size);
        for (int flips = 1 + rand() % 3; flips > 0; flips--)
            copy[(size_t)rand() % size] ^= (uint8_t)(1 << rand() % 8);
        if (safetensors_parse(&st, copy, size, "flipped") == HONE_OK) {
            accepted++;
            for (size_t i = 0; i < safetensors_count(st); i++) {
                const safetensors_entry *e = safetensors_at(st, i);
                for (size_t b = 0; b < e->bytes; b++) sum += ((const uint8_t *)e->view.data)[b];
            }
        } else {
            refused++;
        }
        safetensors_close(st);
    }
    CHECK_MSG(accepted > 100 && refused > 1000, "%zu, %zu", accepted, refused);
    CHECK(sum > 0);
    free(copy);
    free(bytes);
}

static void short_memory_is_reported_and_leaks_nothing(void) {
    test_folder folder = test_folder_make();
    hone_status status = HONE_ERR_MEMORY;
    long n = 1;
    write_tensors(&folder, "a.safetensors", ONE("a"));
    write_tensors(&folder, "b.safetensors", ONE("b"));
    for (; n < 500 && status != HONE_OK; n++) {
        char index[] = "{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"b.safetensors\"}}";
        mem_fail_from(n);
        status = open_with_index(&folder, index);
        mem_fail_from(0);
        CHECK(status == HONE_OK || status == HONE_ERR_MEMORY);
    }
    CHECK(n > 20 && status == HONE_OK);
    test_folder_remove(&folder);
}

int main(void) {
    RUN(reference_cases_are_judged_alike);
    RUN(golden_models_open);
    RUN(a_model_in_several_files_opens_as_one);
    RUN(entries_tell_type_shape_and_place);
    RUN(broken_headers_are_refused_with_words);
    RUN(empty_tensors_may_stand_anywhere);
    RUN(header_lengths_are_checked);
    RUN(an_index_names_files_beside_it_only);
    RUN(an_index_must_be_true);
    RUN(every_truncation_is_refused);
    RUN(flipped_bytes_are_handled);
    RUN(short_memory_is_reported_and_leaks_nothing);
    return test_summary();
}
