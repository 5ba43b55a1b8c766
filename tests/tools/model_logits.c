/* model_logits: a model's numbers as they are, for tests that compute with them elsewhere.
 *
 *     model_logits tokens MODEL <TEXT >IDS       the text's tokens, 32-bit integers
 *     model_logits logits MODEL <IDS >LOGITS     float logits[n_ids, n_vocab] in the exact mode
 *
 * All as the machine stores numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hone/hone.h"

enum { MOST_BYTES = 16 << 20, AT_ONCE = 64 };

static hone_status write_tokens(hone_model *model, const char *text, size_t n) {
    int32_t *ids;
    size_t n_ids;
    hone_status status = hone_tokenize(model, text, n, true, &ids, &n_ids);
    if (status != HONE_OK) return status;
    fwrite(ids, sizeof *ids, n_ids, stdout);
    hone_free(ids);
    return HONE_OK;
}

static hone_status write_logits(hone_model *model, const int32_t *ids, size_t n) {
    size_t n_vocab = hone_model_describe(model)->n_vocab;
    hone_session *session;
    hone_status status = hone_session_open(&session, model, &(hone_session_options){.exact = true});
    for (size_t at = 0; at < n && status == HONE_OK; at += AT_ONCE) {
        size_t rows = n - at < AT_ONCE ? n - at : AT_ONCE;
        status = hone_step(&(hone_step_item){session, ids + at, rows, HONE_LOGITS_ALL}, 1);
        for (size_t r = 0; r < rows && status == HONE_OK; r++)
            fwrite(hone_session_logits(session, r), sizeof(float), n_vocab, stdout);
    }
    hone_session_close(session);
    return status;
}

int main(int argc, char **argv) {
    bool tokens = argc == 3 && !strcmp(argv[1], "tokens");
    if (!tokens && (argc != 3 || strcmp(argv[1], "logits") != 0)) {
        fprintf(stderr, "usage: %s tokens|logits MODEL\n", argv[0]);
        return 2;
    }
    void *input = malloc(MOST_BYTES);
    if (!input) return 1;
    size_t n = fread(input, 1, MOST_BYTES, stdin);
    hone_model *model;
    hone_status status = hone_model_open(&model, argv[2], NULL);
    if (status == HONE_OK)
        status = tokens ? write_tokens(model, input, n)
                        : write_logits(model, input, n / sizeof(int32_t));
    if (status != HONE_OK) fprintf(stderr, "%s\n", hone_error_message());
    if (status == HONE_OK) hone_model_close(model);
    free(input);
    return status != HONE_OK;
}
