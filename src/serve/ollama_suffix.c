#include "serve/ollama_suffix.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "infer/engine.h"

/* Qwen, StarCoder 2 and Granite; DeepSeek; Code Llama; CodeGemma's are Qwen's with other names. */
static const struct marks { const char *before, *suffix, *middle; } known[] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
    {"▁<PRE>", "▁<SUF>", "▁<MID>"},
};

static bool find_marks(const hone_model *m, int32_t marks[3]) {
    for (size_t i = 0; m->tokenizer && i < sizeof known / sizeof *known; i++) {
        const char *const texts[] = {known[i].before, known[i].suffix, known[i].middle};
        bool all = true;
        for (int k = 0; k < 3; k++) {
            marks[k] = tokenizer_find(m->tokenizer, texts[k], strlen(texts[k]));
            all = all && marks[k] >= 0;
        }
        if (all) return true;
    }
    return false;
}

bool ollama_takes_suffix(const hone_model *model) {
    int32_t marks[3];
    return find_marks(model, marks);
}

hone_status ollama_tokenize_suffix(const hone_model *model, const char *prompt, const char *suffix,
                                   int32_t **ids, size_t *n_ids) {
    int32_t marks[3], *before = NULL, *behind = NULL;
    size_t n_before = 0, n_behind = 0, at = 0;
    if (!find_marks(model, marks))
        return fail(HONE_ERR_ARGUMENT, "this model does not support insert (suffix)");
    hone_status status = hone_tokenize(model, prompt, strlen(prompt), false, &before, &n_before);
    if (status == HONE_OK)
        status = hone_tokenize(model, suffix, strlen(suffix), false, &behind, &n_behind);
    bool bos = tokenizer_adds_bos(model->tokenizer);
    int32_t *list = status == HONE_OK ? mem_calloc(n_before + n_behind + 4, sizeof *list) : NULL;
    if (status == HONE_OK && !list) status = mem_fail("prompt", n_before + n_behind);
    if (list) {
        if (bos) list[at++] = tokenizer_bos(model->tokenizer);
        list[at++] = marks[0];
        memcpy(list + at, before, n_before * sizeof *list);
        at += n_before;
        list[at++] = marks[1];
        memcpy(list + at, behind, n_behind * sizeof *list);
        at += n_behind;
        list[at++] = marks[2];
        *ids = list;
        *n_ids = at;
    }
    hone_free(before);
    hone_free(behind);
    return status;
}
