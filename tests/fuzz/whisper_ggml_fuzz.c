/* whisper.cpp's files with their vocabularies; and vocabularies of tiktoken's form. */
#include "format/whisper_ggml.h"

static void make_tokenizer(const ranked_texts *texts) {
    tokenizer_spec spec;
    if (tokenizer_spec_from_whisper_ranks(&spec, texts, texts->n + 1608, "fuzz") == HONE_OK)
        tokenizer_spec_release(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    whisper_ggml w;
    ranked_texts texts;
    if (ranked_texts_parse(&texts, (const char *)data, size, "fuzz") == HONE_OK) {
        make_tokenizer(&texts);
        ranked_texts_release(&texts);
    }
    if (whisper_ggml_parse(&w, data, size, "fuzz") != HONE_OK) return 0;
    unsigned sum = 0; /* every byte that a view promises is there */
    for (size_t i = 0; i < tensor_table_count(w.tensors); i++) {
        const named_tensor *n = tensor_table_at(w.tensors, i);
        for (size_t k = 0; k < n->bytes; k++) sum += ((const uint8_t *)n->view.data)[k];
    }
    make_tokenizer(&w.texts);
    whisper_ggml_release(&w);
    volatile unsigned keep = sum;
    (void)keep;
    return 0;
}
