#include "format/tokenizer_spec.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"

void tokenizer_spec_release(tokenizer_spec *spec) {
    mem_free(spec->tokens);
    mem_free(spec->merges);
    mem_free(spec->chat_template);
    mem_free(spec->texts);
    json_decref(spec->owned);
    *spec = (tokenizer_spec){0};
}

hone_status tokenizer_spec_add_stop(tokenizer_spec *spec, int64_t id) {
    if (id < 0) return HONE_OK;
    if ((uint64_t)id >= spec->n_tokens)
        return fail(HONE_ERR_FORMAT, "end-of-text id %lld, but there are %zu tokens",
                    (long long)id, spec->n_tokens);
    for (size_t i = 0; i < spec->n_stops; i++)
        if (spec->stops[i] == id) return HONE_OK;
    if (spec->n_stops == sizeof spec->stops / sizeof *spec->stops)
        return fail(HONE_ERR_FORMAT, "more than %zu ids end a text", spec->n_stops);
    spec->stops[spec->n_stops++] = (int32_t)id;
    return HONE_OK;
}

/* The texts that end a turn in some model family, and those that a model writes only when it has
 * gone past the end of a file. The same as llama.cpp's of early 2025. */
bool token_is_known_stop(const token_entry *t) {
    static const char *const texts[] = {
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
        "<EOT>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<|fim_repo|>", "<|repo_name|>",
        "<fim-repo>", "<reponame>", "<repo_name>", "<|file_sep|>", "<file_sep>"
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (t->n == strlen(texts[i]) && memcmp(t->text, texts[i], t->n) == 0)
            return t->type != TOKEN_UNUSED;
    return false;
}

hone_status tokenizer_spec_add_known_stops(tokenizer_spec *spec) {
    for (size_t i = 0; i < spec->n_tokens; i++) {
        const token_entry *t = &spec->tokens[i];
        if (t->n && t->text[0] == '<' && token_is_known_stop(t))
            TRY(tokenizer_spec_add_stop(spec, (int64_t)i));
    }
    return HONE_OK;
}
