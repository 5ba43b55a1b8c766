/* Error and throughput of the quantisers beside ggml's, in one run on one thread.
 *
 *     quantiser_bench LIBGGML_BASE.so SOURCE…
 *
 * A source is `normal` or `heavy` (made here, rows of 2048), FILE.gguf:TENSOR, or FILE.f16:COLUMNS
 * (raw half floats). For each type, source, and with and without importance it prints one line of
 * JSON: the weighted squared error and the elements a second of both. Rounds alternate; times are
 * the thread's own, the best of the rounds. bench/compare_quantisers.py makes the tables. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file_map.h"
#include "base/philox.h"
#include "format/gguf.h"
#include "tensor/quant.h"

enum { ROUNDS = 5, MOST_ELEMENTS = 1 << 19 };

typedef size_t quantise_chunk(int type, const float *x, void *out, int64_t start, int64_t n_rows,
                              int64_t n_per_row, const float *importance);

typedef struct matrix {
    const char *name;
    size_t n_rows, n;
    float *x, *importance; /* [n_rows, n], [n] */
} matrix;

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, hone_error_message());
    exit(1);
}

static double uniform(uint32_t word) { return ((double)word + 0.5) * 0x1p-32; }

/* Two normal numbers (Box & Muller 1958). */
static void normal_pair(double out[2], philox_block b) {
    double radius = sqrt(-2.0 * log(uniform(b.word[0]))), angle = 2.0 * M_PI * uniform(b.word[1]);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

/* Student's t with three degrees of freedom where `heavy`: tails like those of trained weights. */
static double draw(uint32_t i, bool heavy) {
    double a[2], b[2];
    normal_pair(a, philox4x32((philox_block){{i, 0, 0, 0}}, 1));
    normal_pair(b, philox4x32((philox_block){{i, 1, 0, 0}}, 1));
    return heavy ? a[0] / sqrt((a[1] * a[1] + b[0] * b[0] + b[1] * b[1]) / 3.0) : a[0];
}

static void make_room(matrix *m, size_t n_rows, size_t n) {
    if (n_rows > MOST_ELEMENTS / n) n_rows = MOST_ELEMENTS / n;
    m->n_rows = n_rows;
    m->n = n;
    m->x = malloc(n_rows * n * sizeof *m->x);
    m->importance = malloc(n * sizeof *m->importance);
    if (!m->x || !m->importance) exit(1);
    for (size_t i = 0; i < n; i++)
        m->importance[i] = (float)exp(1.5 * draw((uint32_t)(i + 1000000007u), false));
}

static void read_gguf(matrix *m, char *path) {
    char *name = strrchr(path, ':');
    *name++ = 0;
    gguf *file;
    if (gguf_open(&file, path) != HONE_OK) die(path);
    const gguf_tensor *t = gguf_find_tensor(file, name);
    if (!t) die(name);
    make_room(m, t->view.ne[1], t->view.ne[0]);
    m->name = name;
    for (size_t r = 0; r < m->n_rows; r++)
        quant_decode_row(t->view.type, m->x + r * m->n, tensor_row(&t->view, r), m->n);
    gguf_close(file);
}

static void read_halves(matrix *m, char *path) {
    char *columns = strrchr(path, ':');
    *columns++ = 0;
    file_map map;
    if (file_map_open(&map, path) != HONE_OK) die(path);
    size_t n = strtoul(columns, NULL, 10);
    make_room(m, map.size / 2 / n, n);
    m->name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    quant_decode_row(DTYPE_F16, m->x, map.data, m->n_rows * n);
    file_map_release(&map);
}

static void load(matrix *m, char *source) {
    bool heavy = strcmp(source, "heavy") == 0;
    if (strstr(source, ".gguf:")) {
        read_gguf(m, source);
    } else if (strchr(source, ':')) {
        read_halves(m, source);
    } else {
        m->name = source;
        make_room(m, 256, 2048);
        for (size_t i = 0; i < m->n_rows * m->n; i++)
            m->x[i] = (float)(0.02 * draw((uint32_t)i, heavy));
    }
}

static double weighted_error(const matrix *m, dtype type, const uint8_t *blocks, size_t row_bytes,
                             const float *importance, float *row) {
    double error = 0.0;
    for (size_t r = 0; r < m->n_rows; r++) {
        quant_decode_row(type, row, blocks + r * row_bytes, m->n);
        for (size_t i = 0; i < m->n; i++) {
            double d = (double)m->x[r * m->n + i] - (double)row[i];
            error += (importance ? (double)importance[i] : 1.0) * d * d;
        }
    }
    return error;
}

static void compare(const matrix *m, dtype type, const float *importance, quantise_chunk *peer) {
    size_t row_bytes;
    if (!dtype_row_bytes(type, m->n, &row_bytes)) return;
    uint8_t *ours = malloc(m->n_rows * row_bytes), *theirs = malloc(m->n_rows * row_bytes);
    float *row = malloc(m->n * sizeof *row);
    if (!ours || !theirs || !row) exit(1);
    double best_ours = INFINITY, best_theirs = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double start = thread_seconds();
        for (size_t r = 0; r < m->n_rows; r++)
            if (quant_encode_row(type, ours + r * row_bytes, m->x + r * m->n, m->n, importance))
                die(m->name);
        double middle = thread_seconds();
        peer(type, m->x, theirs, 0, (int64_t)m->n_rows, (int64_t)m->n, importance);
        double end = thread_seconds();
        best_ours = fmin(best_ours, middle - start);
        best_theirs = fmin(best_theirs, end - middle);
    }
    double n = (double)(m->n_rows * m->n);
    printf("{\"type\": \"%s\", \"source\": \"%s\", \"columns\": %zu, \"importance\": %s, "
           "\"error\": %.9g, \"peer_error\": %.9g, \"elements_per_s\": %.4g, "
           "\"peer_elements_per_s\": %.4g, \"same_bytes\": %s}\n",
           dtype_get(type)->name, m->name, m->n, importance ? "true" : "false",
           weighted_error(m, type, ours, row_bytes, importance, row),
           weighted_error(m, type, theirs, row_bytes, importance, row), n / best_ours,
           n / best_theirs,
           memcmp(ours, theirs, m->n_rows * row_bytes) == 0 ? "true" : "false");
    fflush(stdout);
    free(ours);
    free(theirs);
    free(row);
}

int main(int argc, char **argv) {
    static const dtype types[] = {DTYPE_Q8_0, DTYPE_Q6_K, DTYPE_Q5_K, DTYPE_Q5_1, DTYPE_Q5_0,
                                  DTYPE_Q4_K, DTYPE_Q4_1, DTYPE_Q4_0, DTYPE_IQ4_NL, DTYPE_IQ4_XS,
                                  DTYPE_Q3_K, DTYPE_Q2_K, DTYPE_F16, DTYPE_BF16};
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void *symbol = library ? dlsym(library, "ggml_quantize_chunk") : NULL;
    if (!symbol) {
        fprintf(stderr, "usage: %s LIBGGML_BASE.so SOURCE…\n", argv[0]);
        return 2;
    }
    quantise_chunk *peer;
    memcpy(&peer, &symbol, sizeof peer);
    for (int i = 2; i < argc; i++) {
        matrix m;
        load(&m, argv[i]);
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            compare(&m, types[t], NULL, peer);
            if (types[t] != DTYPE_F16 && types[t] != DTYPE_BF16 && types[t] != DTYPE_Q8_0)
                compare(&m, types[t], m.importance, peer);
        }
        free(m.x);
        free(m.importance);
    }
    return 0;
}
