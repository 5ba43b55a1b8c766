/* Encoding speed on one thread.
 *
 *     tokenizer_bench MODEL MODE ROUNDS TEXT…
 *
 * MODEL is a .gguf file or a folder with tokenizer.json; MODE is `whole` (each text at once) or
 * `lines` (each line, with its line feed, by itself). Prints one line a round: MB/s, milliseconds,
 * number of ids, and a checksum of them for comparisons with other programs. With ROUNDS 0 a round
 * starts with each line of standard input, until its end: that lets a script take turns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file_map.h"
#include "format/gguf.h"
#include "format/tokenizer_spec.h"
#include "text/tokenizer.h"

enum { MAX_TEXTS = 32 };

static void must(hone_status status) {
    if (status == HONE_OK) return;
    fprintf(stderr, "%s\n", hone_error_message());
    exit(1);
}

static tokenizer *open_model(const char *path, gguf **file) {
    tokenizer_spec spec = {0};
    tokenizer *t = NULL;
    size_t n = strlen(path);
    if (n > 5 && strcmp(path + n - 5, ".gguf") == 0) {
        must(gguf_open(file, path));
        must(tokenizer_spec_from_gguf(&spec, *file, path));
    } else {
        must(tokenizer_spec_from_folder(&spec, path));
    }
    must(tokenizer_open(&t, &spec));
    tokenizer_spec_release(&spec);
    return t;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void encode_lines(const tokenizer *t, const char *text, size_t n, token_list *ids) {
    while (n) {
        const char *newline = memchr(text, '\n', n);
        size_t line = newline ? (size_t)(newline - text) + 1 : n;
        must(tokenizer_encode(t, text, line, NULL, 0, 0, ids));
        text += line;
        n -= line;
    }
}

static void round_of(const tokenizer *t, bool lines, const file_map *texts, size_t n_texts) {
    static token_list ids;
    size_t bytes = 0;
    uint64_t sum = 0;
    ids.n = 0;
    double start = now_ms();
    for (size_t i = 0; i < n_texts; i++) {
        const char *text = (const char *)texts[i].data;
        if (lines) encode_lines(t, text, texts[i].size, &ids);
        else must(tokenizer_encode(t, text, texts[i].size, NULL, 0, 0, &ids));
        bytes += texts[i].size;
    }
    double ms = now_ms() - start;
    for (size_t i = 0; i < ids.n; i++) sum = (sum * 31 + (uint64_t)ids.ids[i]) % 1000000007;
    printf("%.2f MB/s %.3f ms %zu ids %llu\n", (double)bytes / 1e3 / ms, ms, ids.n,
           (unsigned long long)sum);
    fflush(stdout);
}

int main(int argc, char **argv) {
    file_map texts[MAX_TEXTS];
    gguf *file = NULL;
    if (argc < 5 || argc - 4 > MAX_TEXTS) {
        fprintf(stderr, "usage: tokenizer_bench MODEL whole|lines ROUNDS TEXT...\n");
        return 2;
    }
    double start = now_ms();
    tokenizer *t = open_model(argv[1], &file);
    printf("opened in %.1f ms\n", now_ms() - start);
    fflush(stdout);
    size_t n_texts = (size_t)argc - 4;
    for (size_t i = 0; i < n_texts; i++) must(file_map_open(&texts[i], argv[4 + i]));
    bool lines = strcmp(argv[2], "lines") == 0;
    int rounds = atoi(argv[3]);
    char line[16];
    for (int i = 0; rounds == 0 ? fgets(line, sizeof line, stdin) != NULL : i < rounds; i++)
        round_of(t, lines, texts, n_texts);
    tokenizer_close(t);
    gguf_close(file);
    return 0;
}
