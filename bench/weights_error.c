/* What the weights of GGUF files are off by against their original.
 *
 *     weights_error ORIGINAL FILE…
 *
 * For each file one number: Σ (x − x̂)² over all matrices, relative to Σ x². */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/gguf.h"
#include "tensor/quant.h"

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, hone_error_message());
    exit(1);
}

static void add_rows(const tensor *x, const tensor *y, float *rows, double *error, double *whole) {
    size_t n = x->ne[0];
    for (size_t r = 0; r < x->ne[1] * x->ne[2] * x->ne[3]; r++) {
        quant_decode_row(x->type, rows, tensor_row(x, r), n);
        quant_decode_row(y->type, rows + n, tensor_row(y, r), n);
        for (size_t i = 0; i < n; i++) {
            double d = (double)rows[i] - (double)rows[n + i];
            *error += d * d;
            *whole += (double)rows[i] * (double)rows[i];
        }
    }
}

static double relative_error(const gguf *original, const gguf *file, const char *path) {
    double error = 0.0, whole = 0.0;
    for (size_t i = 0; i < gguf_n_tensors(original); i++) {
        const gguf_tensor *t = gguf_tensor_at(original, i);
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.data);
        const gguf_tensor *other = gguf_find_tensor(file, name);
        if (t->view.n_dims < 2) continue;
        if (!other || memcmp(other->view.ne, t->view.ne, sizeof t->view.ne) != 0) die(path);
        float *rows = malloc(2 * t->view.ne[0] * sizeof *rows);
        if (!rows) exit(1);
        add_rows(&t->view, &other->view, rows, &error, &whole);
        free(rows);
    }
    return error / whole;
}

int main(int argc, char **argv) {
    gguf *original, *file;
    if (argc < 3) {
        fprintf(stderr, "usage: %s ORIGINAL FILE…\n", argv[0]);
        return 2;
    }
    if (gguf_open(&original, argv[1]) != HONE_OK) die(argv[1]);
    for (int i = 2; i < argc; i++) {
        if (gguf_open(&file, argv[i]) != HONE_OK) die(argv[i]);
        printf("%.9g\n", relative_error(original, file, argv[i]));
        gguf_close(file);
    }
    gguf_close(original);
    return 0;
}
