/* What schemas and grammars cost: compiling, and the mask of each step of an answer.
 *
 *     build/bench/grammar_bench VOCABULARY.gguf [STEP_MS]
 *
 * Random texts of several schemas are cut into tokens and stepped through as an answer would be,
 * each schema's first answer on a fresh grammar. Prints the time of a step's mask; with STEP_MS, a
 * decode step of the model, as its share. A file with a vocabulary and no weights will do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "format/tokenizer_spec.h"
#include "random_text.h"
#include "text/grammar_mask.h"
#include "text/schema.h"

static const char *const schemas[] = {
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\","
    "\"minimum\":0,\"maximum\":150},\"email\":{\"type\":\"string\",\"format\":\"email\"}},\"required\":"
    "[\"name\",\"age\",\"email\"]}",
    "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\",\"maxLength\":200},\"tags\":{"
    "\"type\":\"array\",\"items\":{\"enum\":[\"news\",\"sport\",\"science\"]},\"maxItems\":5},"
    "\"date\":{\"type\":\"string\",\"format\":\"date\"}},\"required\":[\"title\",\"tags\",\"date\"]}",
    "{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\"},"
    "\"children\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/node\"}}},\"required\":[\"label\","
    "\"children\"]}},\"$ref\":\"#/$defs/node\"}",
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}}",
    "{}",
};
enum { N_SCHEMAS = sizeof schemas / sizeof *schemas, N_ANSWERS = 20, MAX_STEPS = 1 << 20 };

static double steps_us[MAX_STEPS];
static size_t n_steps;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void check(hone_status status, const char *what) {
    if (status == HONE_OK) return;
    fprintf(stderr, "%s: %s\n", what, hone_error_message());
    exit(1);
}

static tokenizer *open_vocabulary(const char *path) {
    gguf *file;
    tokenizer *t;
    tokenizer_spec spec = {0};
    check(gguf_open(&file, path), path);
    check(tokenizer_spec_from_gguf(&spec, file, path), path);
    check(tokenizer_open(&t, &spec), path);
    tokenizer_spec_release(&spec);
    gguf_close(file);
    return t;
}

static void answer(grammar_machine *machine, grammar_masks *masks, const tokenizer *t,
                   const char *text, int n) {
    token_list list = {0};
    check(tokenizer_encode(t, text, (size_t)n, NULL, 0, 0, &list), "tokenizer");
    const int32_t *ids = list.ids;
    size_t n_ids = list.n;
    uint32_t state = grammar_machine_start(machine);
    for (size_t i = 0; i < n_ids && n_steps < MAX_STEPS; i++) {
        const char *piece;
        size_t bytes;
        const uint64_t *mask;
        double start = now_us();
        check(grammar_masks_of(masks, state, &mask), "mask");
        check(tokenizer_piece(t, ids[i], false, &piece, &bytes), "token");
        for (size_t k = 0; k < bytes; k++)
            check(grammar_machine_step(machine, state, (uint8_t)piece[k], &state), "step");
        steps_us[n_steps++] = now_us() - start;
        if (!(mask[ids[i] / 64] >> (ids[i] % 64) & 1)) {
            fprintf(stderr, "token %d of %.*s is not in its mask\n", (int)i, n, text);
            exit(1);
        }
    }
    token_list_release(&list);
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: grammar_bench VOCABULARY.gguf [STEP_MS]\n"), 2;
    tokenizer *t = open_vocabulary(argv[1]);
    token_trie trie;
    double start = now_us();
    check(token_trie_build(&trie, t), "tree");
    size_t n_tokens = tokenizer_size(t);
    printf("%zu tokens, tree of %zu nodes in %.1f ms\n", n_tokens, trie.n_nodes,
           (now_us() - start) / 1e3);
    uint64_t *stops = calloc((n_tokens + 63) / 64, sizeof *stops), seed = 1;
    for (size_t s = 0; s < N_SCHEMAS; s++) {
        grammar *program;
        grammar_machine *machine, *author; /* one writes the texts, the other meets them anew */
        grammar_masks *masks;
        start = now_us();
        check(schema_compile(&program, schemas[s], strlen(schemas[s]), NULL), "schema");
        double compile_us = now_us() - start;
        check(grammar_machine_open(&machine, program, (size_t)64 << 20), "machine");
        check(grammar_machine_open(&author, program, (size_t)64 << 20), "machine");
        check(grammar_masks_open(&masks, machine, &trie, stops, n_tokens), "masks");
        size_t first = n_steps;
        for (int i = 0; i < N_ANSWERS; i++) {
            char text[2000];
            int n = random_text(author, &seed, i % 2, text, sizeof text);
            if (n > 0) answer(machine, masks, t, text, n);
        }
        size_t n = n_steps - first;
        double *these = malloc((n + 1) * sizeof *these);
        memcpy(these, steps_us + first, n * sizeof *these);
        qsort(these, n, sizeof *these, compare);
        printf("schema %zu: compiled in %.0f us, %zu instructions; %zu steps: median %.1f us, "
               "p90 %.1f, p99 %.1f, worst %.0f\n", s + 1, compile_us, program->n_code, n,
               these[n / 2], these[n * 9 / 10], these[n * 99 / 100], these[n - 1]);
        free(these);
        grammar_masks_close(masks);
        grammar_machine_close(machine);
        grammar_machine_close(author);
        grammar_close(program);
    }
    qsort(steps_us, n_steps, sizeof *steps_us, compare);
    double median = steps_us[n_steps / 2], sum = 0;
    for (size_t i = 0; i < n_steps; i++) sum += steps_us[i];
    printf("all: median %.1f us, mean %.1f us, p99 %.1f us", median, sum / (double)n_steps,
           steps_us[n_steps * 99 / 100]);
    if (argc > 2)
        printf("; median %.2f %%, mean %.2f %% of a step of %s ms", median / 10 / atof(argv[2]),
               sum / (double)n_steps / 10 / atof(argv[2]), argv[2]);
    printf("\n");
    token_trie_release(&trie);
    free(stops);
    return 0;
}
