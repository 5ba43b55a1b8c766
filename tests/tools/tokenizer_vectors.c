/* Checks every vocabulary of tokenizer_vectors.jsonl: encoding, and decoding of byte-level ones.
 *
 *     tokenizer_vectors VECTORS_FOLDER VOCABULARY_FOLDER
 *
 * The vocabularies are ggml-vocab-NAME.gguf (tests/fetch_vocabularies.sh gets them). One line for
 * each: passed, failed, or skipped with the reason; the last line counts them. */
#include <stdio.h>
#include <string.h>

#include "base/file_map.h"
#include "base/json.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "format/tokenizer_spec.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

enum { MAX_VOCABULARIES = 64 };

typedef struct vocabulary {
    char name[48];
    size_t n_rows, n_bad;
    char reason[512]; /* why it was skipped */
    gguf *file;
    tokenizer *tokenizer;
    bool byte_level;
} vocabulary;

static vocabulary all[MAX_VOCABULARIES];
static size_t n_all;

static bool is_required(const char *name) {
    static const char *const required[] = {"qwen2", "llama-bpe", "llama-spm", "gpt-2",
                                           "deepseek-llm", "bert-bge"};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (strcmp(name, required[i]) == 0) return true;
    return false;
}

static void open_vocabulary(vocabulary *v, const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf", folder, v->name);
    tokenizer_spec spec = {0};
    hone_status status = gguf_open(&v->file, path);
    if (status == HONE_OK) status = tokenizer_spec_from_gguf(&spec, v->file, v->name);
    if (status == HONE_OK) status = tokenizer_open(&v->tokenizer, &spec);
    v->byte_level = spec.model == TOKENIZER_BPE_BYTES;
    tokenizer_spec_release(&spec);
    if (status == HONE_ERR_NOT_FOUND)
        snprintf(v->reason, sizeof v->reason, "vocabulary file not found");
    else if (status != HONE_OK)
        snprintf(v->reason, sizeof v->reason, "%s", hone_error_message());
}

static vocabulary *vocabulary_of(const char *name, const char *folder) {
    for (size_t i = 0; i < n_all; i++)
        if (strcmp(all[i].name, name) == 0) return &all[i];
    if (n_all == MAX_VOCABULARIES || strlen(name) >= sizeof all->name) return NULL;
    vocabulary *v = &all[n_all++];
    strcpy(v->name, name);
    open_vocabulary(v, folder);
    return v;
}

static void print_ids(const char *what, const int32_t *ids, size_t n) {
    printf("    %s:", what);
    for (size_t i = 0; i < n && i < 60; i++) printf(" %d", ids[i]);
    printf("\n");
}

/* mpt stores runs of blanks in a way that does not decode to them; Qwen's text comes back in NFC. */
static bool decodes(const vocabulary *v, const char *text, size_t n, const token_list *ids) {
    if (!v->byte_level) return true;
    char *back = NULL, *normal = NULL;
    size_t back_n = 0, normal_n = 0;
    bool same = false;
    if (tokenizer_decode(v->tokenizer, ids->ids, ids->n, false, &back, &back_n) == HONE_OK) {
        same = back_n == n && memcmp(back, text, n) == 0;
        if (!same && strncmp(v->name, "qwen", 4) == 0 &&
            unicode_nfc(text, n, &normal, &normal_n) == HONE_OK)
            same = back_n == normal_n && memcmp(back, normal, normal_n) == 0;
    }
    mem_free(back);
    mem_free(normal);
    return same;
}

static void check_row(vocabulary *v, size_t row, const json_t *vector) {
    const json_t *text = json_object_get(vector, "text"), *expected = json_object_get(vector, "ids");
    const char *bytes = json_string_value(text);
    size_t n = json_string_length(text), n_expected = json_array_size(expected);
    token_list ids = {0};
    hone_status status = tokenizer_encode(v->tokenizer, bytes, n, NULL, 0, 0, &ids);
    bool same = status == HONE_OK && ids.n == n_expected;
    for (size_t i = 0; i < n_expected && same; i++)
        same = ids.ids[i] == json_integer_value(json_array_get(expected, i));
    bool back = same && decodes(v, bytes, n, &ids);
    if (!same || !back) {
        v->n_bad++;
        printf("%s, row %zu: %s\n", v->name, row,
               status != HONE_OK ? hone_error_message() : same ? "decodes differently" : "other ids");
        if (!same) print_ids("found", ids.ids, ids.n);
        printf("    expected:");
        for (size_t i = 0; i < n_expected && i < 60; i++)
            printf(" %d", (int)json_integer_value(json_array_get(expected, i)));
        printf("\n");
    }
    token_list_release(&ids);
}

static bool check_lines(const char *folder, const char *vocabularies) {
    char path[4096];
    snprintf(path, sizeof path, "%s/tokenizer_vectors.jsonl", folder);
    file_map map;
    if (file_map_open(&map, path) != HONE_OK) {
        printf("%s\n", hone_error_message());
        return false;
    }
    const char *at = (const char *)map.data, *end = at + map.size;
    for (size_t row = 1; at < end; row++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        json_t *vector = NULL;
        if (stop > at && json_parse(&vector, at, (size_t)(stop - at), path) != HONE_OK) {
            printf("row %zu: %s\n", row, hone_error_message());
            file_map_release(&map);
            return false;
        }
        const char *name = json_string_value(json_object_get(vector, "vocab"));
        vocabulary *v = name ? vocabulary_of(name, vocabularies) : NULL;
        if (v && v->tokenizer) check_row(v, row, vector);
        if (v) v->n_rows++;
        json_decref(vector);
        at = stop + 1;
    }
    file_map_release(&map);
    return true;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: tokenizer_vectors VECTORS_FOLDER VOCABULARY_FOLDER\n");
        return 2;
    }
    if (!check_lines(argv[1], argv[2])) return 1;
    size_t n_passed = 0, n_failed = 0, n_skipped = 0;
    for (size_t i = 0; i < n_all; i++) {
        vocabulary *v = &all[i];
        const char *kind = is_required(v->name) ? "required" : "optional";
        if (!v->tokenizer) {
            printf("skipped %s (%s): %s\n", v->name, kind, v->reason);
            n_skipped++;
        } else if (v->n_bad) {
            printf("FAILED %s (%s): %zu of %zu texts\n", v->name, kind, v->n_bad, v->n_rows);
            n_failed++;
        } else {
            printf("passed %s (%s): %zu texts\n", v->name, kind, v->n_rows);
            n_passed++;
        }
        tokenizer_close(v->tokenizer);
        gguf_close(v->file);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", n_passed, n_failed, n_skipped);
    return n_failed || !n_all;
}
