/* Tokens as JSON (serve/token_json.h). */
#include "serve/token_json.h"

#include "base/json.h"

json_t *token_json(const hone_model *model, int32_t id, double logprob) {
    char *text = NULL;
    size_t n = 0;
    if (hone_detokenize(model, &id, 1, true, &text, &n) != HONE_OK) return NULL;
    json_t *bytes = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(bytes, json_integer((unsigned char)text[i]));
    json_t *token = json_pack("{s:s%, s:o, s:o}", "token", text, n, "logprob",
                              json_finite(logprob), "bytes", bytes);
    hone_free(text);
    return token;
}

json_t *token_piece_json(const hone_model *model, const hone_piece *piece) {
    json_t *token = token_json(model, piece->token, piece->logprob), *top = json_array();
    for (size_t i = 0; i < piece->n_top; i++)
        json_array_append_new(top, token_json(model, piece->top_ids[i], piece->top_logprobs[i]));
    json_object_set_new(token, "top_logprobs", top);
    return token;
}
