/* The GGUF writer, and files in parts: what is written reads back the same, from any part. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "files.h"
#include "format/gguf.h"
#include "test.h"

/* A source whose byte k of tensor i is i · 31 + k. */
static hone_status pattern(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    (void)user;
    for (size_t k = 0; k < bytes; k++) ((uint8_t *)out)[k] = (uint8_t)(index * 31 + offset + k);
    return HONE_OK;
}

static bool has_pattern(const gguf_tensor *t, size_t index) {
    const uint8_t *data = t->view.data;
    for (size_t k = 0; k < t->bytes; k++)
        if (data[k] != (uint8_t)(index * 31 + k)) return false;
    return true;
}

/* A source that fails at the second tensor. */
static hone_status failing(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    if (index == 1) return fail(HONE_ERR_NUMERIC, "made to fail");
    return pattern(user, index, offset, out, bytes);
}

/* The n-th tensor of another file. */
static hone_status from_file(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    const gguf_tensor *t = gguf_tensor_at(user, index);
    CHECK(offset + bytes <= t->bytes);
    memcpy(out, (const char *)t->view.data + offset, bytes);
    return HONE_OK;
}

/* Three tensors with sizes that need padding. */
static hone_status put_sample(gguf_writer *w) {
    const size_t a[] = {3, 5}, b[] = {32, 2, 3}, c[] = {1};
    TRY(gguf_put_string(w, "general.architecture", "test", 4));
    TRY(gguf_put_tensor(w, "a.weight", DTYPE_F32, a, 2));
    TRY(gguf_put_tensor(w, "b.weight", DTYPE_Q8_0, b, 3));
    return gguf_put_tensor(w, "c", DTYPE_F16, c, 1);
}

static hone_status write_sample(const char *path, gguf_tensor_source source) {
    gguf_writer *w;
    TRY(gguf_writer_open(&w));
    hone_status status = put_sample(w);
    if (status == HONE_OK) status = gguf_write(w, path, source, NULL);
    gguf_writer_close(w);
    return status;
}

static bool same_text(gguf_string a, gguf_string b) {
    return a.n == b.n && memcmp(a.data, b.data, a.n) == 0;
}

/* Keys and tensors in order, byte for byte. */
static void check_same(const gguf *a, const gguf *b) {
    CHECK(gguf_n_kv(a) == gguf_n_kv(b) && gguf_n_tensors(a) == gguf_n_tensors(b));
    for (size_t i = 0; i < gguf_n_kv(a) && i < gguf_n_kv(b); i++) {
        const gguf_kv *x = gguf_kv_at(a, i), *y = gguf_kv_at(b, i);
        CHECK(same_text(x->key, y->key) && x->type == y->type && x->element == y->element);
        CHECK(x->count == y->count && x->bytes == y->bytes);
        CHECK(x->bytes == y->bytes && memcmp(x->data, y->data, x->bytes) == 0);
    }
    for (size_t i = 0; i < gguf_n_tensors(a) && i < gguf_n_tensors(b); i++) {
        const gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        CHECK(same_text(x->name, y->name) && x->view.type == y->view.type);
        CHECK(x->view.n_dims == y->view.n_dims && x->view.row_bytes == y->view.row_bytes);
        CHECK(memcmp(x->view.ne, y->view.ne, sizeof x->view.ne) == 0);
        CHECK(x->bytes == y->bytes && memcmp(x->view.data, y->view.data, x->bytes) == 0);
    }
}

/* --- writing --- */

static void values_read_back(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "values.gguf");
    const float floats[] = {1.5f, -2.5f, 3.5f};
    const gguf_string words[] = {{"one", 3}, {"", 0}, {"a\0b", 3}};
    gguf_writer *w;
    gguf *file;
    if (!CHECK_OK(gguf_writer_open(&w))) return;
    CHECK_OK(gguf_put_u32(w, "u32", 4000000000u));
    CHECK_OK(gguf_put_u64(w, "u64", UINT64_MAX));
    CHECK_OK(gguf_put_i32(w, "i32", -7));
    CHECK_OK(gguf_put_f32(w, "f32", 0.1f));
    CHECK_OK(gguf_put_bool(w, "bool", true));
    CHECK_OK(gguf_put_string(w, "text", "grüße", strlen("grüße")));
    CHECK_OK(gguf_put_strings(w, "words", words, 3));
    CHECK_OK(gguf_put_strings(w, "no words", NULL, 0));
    CHECK_OK(gguf_put_array(w, "floats", GGUF_F32, floats, 3));
    CHECK_OK(gguf_write(w, path, pattern, NULL));
    gguf_writer_close(w);

    if (!CHECK_OK(gguf_open(&file, path))) return;
    uint64_t u = 0;
    double f = 0;
    bool flag = false;
    gguf_string text = {0};
    size_t cursor = 0;
    CHECK(gguf_version(file) == 3 && gguf_n_kv(file) == 9 && gguf_n_tensors(file) == 0);
    CHECK(gguf_get_u64(file, "u32", &u) && u == 4000000000u);
    CHECK(gguf_get_u64(file, "u64", &u) && u == UINT64_MAX);
    CHECK(gguf_get_f64(file, "i32", &f) && f == -7);
    CHECK(gguf_get_f64(file, "f32", &f) && f == 0.1f);
    CHECK(gguf_get_bool(file, "bool", &flag) && flag);
    CHECK(gguf_get_string(file, "text", &text) && same_text(text, (gguf_string){"grüße", 7}));
    for (int i = 0; i < 3; i++)
        CHECK(gguf_next_string(gguf_find(file, "words"), &cursor, &text) &&
              same_text(text, words[i]));
    CHECK(gguf_find(file, "no words")->count == 0);
    CHECK(gguf_element_f64(gguf_find(file, "floats"), 2, &f) && f == 3.5);
    gguf_close(file);
    test_folder_remove(&folder);
}

static void tensors_read_back(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "tensors.gguf");
    gguf *file;
    CHECK_OK(write_sample(path, pattern));
    if (!CHECK_OK(gguf_open(&file, path))) return;
    CHECK(gguf_n_tensors(file) == 3 && gguf_file_bytes(file) % 32 == 0);
    for (size_t i = 0; i < 3; i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        CHECK(has_pattern(t, i));
        CHECK((uintptr_t)t->view.data % 32 == 0); /* mappings begin at a page */
    }
    CHECK(gguf_find_tensor(file, "b.weight")->view.ne[2] == 3);
    CHECK(gguf_find_tensor(file, "a.weight")->bytes == 60);
    gguf_close(file);
    test_folder_remove(&folder);
}

static hone_status put_all(gguf_writer *w, const gguf *from) {
    for (size_t i = 0; i < gguf_n_kv(from); i++) TRY(gguf_put_copy(w, gguf_kv_at(from, i)));
    for (size_t i = 0; i < gguf_n_tensors(from); i++) {
        const gguf_tensor *t = gguf_tensor_at(from, i);
        char name[64] = "";
        memcpy(name, t->name.data, t->name.n);
        TRY(gguf_put_tensor(w, name, t->view.type, t->view.ne, t->view.n_dims));
    }
    return HONE_OK;
}

static void check_copy(const char *from_path, const char *to_path) {
    gguf *from, *copy;
    gguf_writer *w;
    if (!CHECK_OK(gguf_open(&from, from_path)) || !CHECK_OK(gguf_writer_open(&w))) return;
    CHECK_OK(put_all(w, from));
    CHECK_OK(gguf_write(w, to_path, from_file, from));
    gguf_writer_close(w);
    if (CHECK_OK(gguf_open(&copy, to_path))) {
        check_same(from, copy);
        gguf_close(copy);
    }
    gguf_close(from);
}

static void a_copied_model_is_the_same(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    test_folder folder = test_folder_make();
    check_copy(test_path(shared, "models/stories260K.gguf"), test_path(folder.path, "copy.gguf"));
    test_folder_remove(&folder);
}

static void a_given_alignment_is_obeyed(void) {
    const uint32_t alignments[] = {1, 8, 256};
    for (size_t i = 0; i < 3; i++) {
        test_folder folder = test_folder_make();
        const char *path = test_path(folder.path, "aligned.gguf");
        gguf_writer *w;
        gguf *file;
        CHECK_OK(gguf_writer_open(&w));
        CHECK_OK(gguf_put_u32(w, "general.alignment", alignments[i]));
        CHECK_OK(put_sample(w));
        CHECK_OK(gguf_write(w, path, pattern, NULL));
        gguf_writer_close(w);
        if (CHECK_OK(gguf_open(&file, path))) {
            for (size_t t = 0; t < 3; t++) {
                CHECK(has_pattern(gguf_tensor_at(file, t), t));
                CHECK((uintptr_t)gguf_tensor_at(file, t)->view.data % alignments[i] == 0);
            }
            gguf_close(file);
        }
        check_copy(path, test_path(folder.path, "copy.gguf"));
        test_folder_remove(&folder);
    }
}

static void what_the_reader_refuses_is_not_written(void) {
    const size_t good[] = {32, 2}, zero[] = {32, 0}, broken[] = {33, 2};
    char long_name[65];
    gguf_writer *w;
    CHECK_OK(gguf_writer_open(&w));
    memset(long_name, 'x', 64);
    long_name[64] = 0;
    CHECK_OK(gguf_put_u32(w, "key", 1));
    CHECK_OK(gguf_put_tensor(w, "name", DTYPE_Q8_0, good, 2));
    CHECK(gguf_put_bool(w, "key", true) == HONE_ERR_ARGUMENT);
    CHECK(strstr(hone_error_message(), "'key' is written twice"));
    CHECK(gguf_put_tensor(w, "name", DTYPE_F32, good, 2) == HONE_ERR_ARGUMENT);
    CHECK(strstr(hone_error_message(), "'name' is written twice"));
    CHECK(gguf_put_u32(w, "", 1) != HONE_OK);
    CHECK(gguf_put_array(w, "texts", GGUF_STRING, "", 0) == HONE_ERR_ARGUMENT);
    CHECK(gguf_put_u32(w, "general.alignment", 24) == HONE_ERR_ARGUMENT);
    CHECK(gguf_put_tensor(w, "a", DTYPE_Q8_0, broken, 2) == HONE_ERR_ARGUMENT);
    CHECK(gguf_put_tensor(w, "a", DTYPE_Q8_0, zero, 2) == HONE_ERR_ARGUMENT);
    CHECK(gguf_put_tensor(w, "a", DTYPE_Q8_0, good, 5) == HONE_ERR_ARGUMENT);
    CHECK(gguf_put_tensor(w, "a", (dtype)16, good, 2) == HONE_ERR_ARGUMENT);
    CHECK(gguf_put_tensor(w, long_name, DTYPE_Q8_0, good, 2) != HONE_OK);
    gguf_writer_close(w);
}

/* --- interruptions --- */

/* The file "old" holds the words "old words", and nothing else is in the folder. */
static void check_untouched(const test_folder *folder) {
    size_t size = 0;
    unsigned char *bytes = test_read_file(test_path(folder->path, "old"), &size);
    CHECK(bytes && size == 9 && memcmp(bytes, "old words", 9) == 0);
    CHECK(test_folder_count(folder, NULL) == 1);
    free(bytes);
}

static void a_failing_source_leaves_the_old_file(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "old");
    CHECK(test_write_file(path, "old words", 9));
    CHECK(write_sample(path, failing) == HONE_ERR_NUMERIC);
    CHECK(strstr(hone_error_message(), "tensor 'b.weight': made to fail"));
    check_untouched(&folder);
    CHECK_OK(write_sample(path, pattern)); /* and a good one replaces it */
    gguf *file;
    if (CHECK_OK(gguf_open(&file, path))) gguf_close(file);
    CHECK(test_folder_count(&folder, NULL) == 1);
    test_folder_remove(&folder);
}

/* A limit on file sizes stands for a full disk: the same path through the writer. */
static void a_full_disk_is_an_error_and_leaves_nothing(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "old");
    struct rlimit before, small;
    CHECK(test_write_file(path, "old words", 9));
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 300;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    hone_status status = write_sample(path, pattern);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(status == HONE_ERR_IO);
    CHECK(strstr(hone_error_message(), path));
    check_untouched(&folder);
    test_folder_remove(&folder);
}

static void unwritable_places_are_errors(void) {
    test_folder folder = test_folder_make();
    CHECK(write_sample(test_path(folder.path, "none/file.gguf"), pattern) == HONE_ERR_IO);
    CHECK(strstr(hone_error_message(), "none/file.gguf: cannot create"));
    CHECK(mkdir(test_path(folder.path, "taken"), 0777) == 0);
    CHECK(write_sample(test_path(folder.path, "taken"), pattern) == HONE_ERR_IO);
    CHECK(strstr(hone_error_message(), "cannot rename"));
    CHECK(test_folder_count(&folder, NULL) == 1);
    rmdir(test_path(folder.path, "taken"));
    test_folder_remove(&folder);
}

static void short_memory_leaves_no_file(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "file.gguf");
    hone_status status = HONE_ERR_MEMORY;
    long n = 1;
    for (; n < 200 && status != HONE_OK; n++) {
        CHECK(test_folder_count(&folder, NULL) == 0);
        mem_fail_from(n);
        status = write_sample(path, pattern);
        mem_fail_from(0);
        CHECK(status == HONE_OK || status == HONE_ERR_MEMORY);
    }
    CHECK(n > 10 && status == HONE_OK);
    test_folder_remove(&folder);
}

/* --- files in parts --- */

enum { N_PARTS = 3 };

static const char *part_path(const test_folder *folder, int part) {
    char name[64];
    snprintf(name, sizeof name, "model-%05d-of-%05d.gguf", part + 1, N_PARTS);
    return test_path(folder->path, name);
}

static hone_status put_part(gguf_writer *w, int part, uint16_t no, int32_t total) {
    const uint16_t count = N_PARTS;
    const size_t ne[] = {4, 2};
    gguf_kv kv = {{"split.no", 8}, GGUF_U16, GGUF_U16, 1, (const uint8_t *)&no, 2};
    TRY(gguf_put_copy(w, &kv));
    kv.key = (gguf_string){"split.count", 11};
    kv.data = (const uint8_t *)&count;
    TRY(gguf_put_copy(w, &kv));
    TRY(gguf_put_i32(w, "split.tensors.count", total));
    if (part == 0) TRY(gguf_put_string(w, "general.architecture", "test", 4));
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "part%d.tensor%d", part, i);
        TRY(gguf_put_tensor(w, name, DTYPE_F32, ne, 2));
    }
    return HONE_OK;
}

static void write_part(const test_folder *folder, int part, uint16_t no, int32_t total) {
    gguf_writer *w;
    if (!CHECK_OK(gguf_writer_open(&w))) return;
    CHECK_OK(put_part(w, part, no, total));
    CHECK_OK(gguf_write(w, part_path(folder, part), pattern, NULL));
    gguf_writer_close(w);
}

static test_folder make_parts(void) {
    test_folder folder = test_folder_make();
    for (int part = 0; part < N_PARTS; part++) write_part(&folder, part, (uint16_t)part, 6);
    return folder;
}

static void any_part_opens_all(void) {
    test_folder folder = make_parts();
    for (int part = 0; part < N_PARTS; part++) {
        gguf *file;
        gguf_string text;
        if (!CHECK_OK(gguf_open(&file, part_path(&folder, part)))) continue;
        CHECK(gguf_n_tensors(file) == 6 && gguf_get_string(file, "general.architecture", &text));
        for (uint32_t i = 0; i < 6; i++) {
            const gguf_tensor *t = gguf_tensor_at(file, i);
            char name[32];
            snprintf(name, sizeof name, "part%u.tensor%u", i / 2, i % 2);
            CHECK(t->file == i / 2 && has_pattern(t, i % 2));
            CHECK(gguf_find_tensor(file, name) == t);
        }
        size_t bytes = 0, size = 0;
        for (int i = 0; i < N_PARTS; i++) {
            free(test_read_file(part_path(&folder, i), &size));
            bytes += size;
        }
        CHECK(gguf_file_bytes(file) == bytes);
        gguf_close(file);
    }
    test_folder_remove(&folder);
}

/* Opening part 1 fails with that status and a sentence that holds `words`. */
static void check_parts_refused(const test_folder *folder, hone_status expected,
                                const char *words) {
    gguf *file;
    hone_status status = gguf_open(&file, part_path(folder, 0));
    CHECK_MSG(status == expected && strstr(hone_error_message(), words), "%s: %s",
              hone_status_name(status), hone_error_message());
    if (status == HONE_OK) gguf_close(file);
    test_folder_remove(folder);
}

static void missing_and_wrong_parts_are_named(void) {
    test_folder folder = make_parts();
    unlink(part_path(&folder, 1));
    check_parts_refused(&folder, HONE_ERR_NOT_FOUND, "part 2 of 3: ");

    folder = make_parts();
    write_part(&folder, 1, 2, 6); /* says that it is the third */
    check_parts_refused(&folder, HONE_ERR_FORMAT, "model-00002-of-00003.gguf: split.no 2 of 3");

    folder = make_parts();
    write_part(&folder, 0, 0, 7);
    check_parts_refused(&folder, HONE_ERR_FORMAT, "split.tensors.count says 7");

    folder = make_parts();
    CHECK(rename(part_path(&folder, 0), test_path(folder.path, "first.gguf")) == 0);
    gguf *file;
    CHECK(gguf_open(&file, test_path(folder.path, "first.gguf")) == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), "-00001-of-00003.gguf"));
    test_folder_remove(&folder);
}

static void a_tensor_in_two_parts_is_refused(void) {
    test_folder folder = make_parts();
    gguf_writer *w;
    CHECK_OK(gguf_writer_open(&w));
    CHECK_OK(put_part(w, 0, 2, 6)); /* the first part's names in the third */
    CHECK_OK(gguf_write(w, part_path(&folder, 2), pattern, NULL));
    gguf_writer_close(w);
    check_parts_refused(&folder, HONE_ERR_FORMAT, "tensor 'part0.tensor0' is in an earlier part");
}

static void short_memory_while_joining_leaks_nothing(void) {
    test_folder folder = make_parts();
    hone_status status = HONE_ERR_MEMORY;
    long n = 1;
    for (; n < 200 && status != HONE_OK; n++) {
        gguf *file = NULL;
        mem_fail_from(n);
        status = gguf_open(&file, part_path(&folder, 1));
        mem_fail_from(0);
        CHECK((status == HONE_OK) == (file != NULL));
        CHECK(status == HONE_OK || status == HONE_ERR_MEMORY);
        gguf_close(file);
    }
    CHECK(n > 20 && status == HONE_OK);
    test_folder_remove(&folder);
}

/* What is asked of the source at a time, and whether rows were cut. */
typedef struct asked {
    size_t row_bytes, most, next;
    bool fine;
} asked;

static hone_status note_sizes(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    asked *a = user;
    a->fine = a->fine && offset == a->next && bytes % a->row_bytes == 0;
    a->next = offset + bytes;
    if (bytes > a->most) a->most = bytes;
    return pattern(user, index, offset, out, bytes);
}

static void large_tensors_are_written_by_slices_of_rows(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "large.gguf");
    const size_t ne[] = {3000, 1000, 3};
    asked a = {.row_bytes = 3000 * 4, .fine = true};
    gguf_writer *w;
    gguf *file = NULL;
    if (!CHECK_OK(gguf_writer_open(&w))) return;
    CHECK_OK(gguf_put_tensor(w, "large", DTYPE_F32, ne, 3));
    CHECK_OK(gguf_write(w, path, note_sizes, &a));
    gguf_writer_close(w);
    CHECK(a.fine && a.next == 36000000 && a.most <= 16 << 20);
    if (CHECK_OK(gguf_open(&file, path))) CHECK(has_pattern(gguf_tensor_at(file, 0), 0));
    gguf_close(file);
    test_folder_remove(&folder);
}

int main(void) {
    RUN(large_tensors_are_written_by_slices_of_rows);
    RUN(values_read_back);
    RUN(tensors_read_back);
    RUN(a_copied_model_is_the_same);
    RUN(a_given_alignment_is_obeyed);
    RUN(what_the_reader_refuses_is_not_written);
    RUN(a_failing_source_leaves_the_old_file);
    RUN(a_full_disk_is_an_error_and_leaves_nothing);
    RUN(unwritable_places_are_errors);
    RUN(short_memory_leaves_no_file);
    RUN(any_part_opens_all);
    RUN(missing_and_wrong_parts_are_named);
    RUN(a_tensor_in_two_parts_is_refused);
    RUN(short_memory_while_joining_leaks_nothing);
    return test_summary();
}
