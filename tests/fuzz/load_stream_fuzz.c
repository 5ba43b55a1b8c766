/* A server's stream, cut anywhere: no crash, no counts that contradict each other. */
#include <stdlib.h>

#include "lab/load_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    load_stream s;
    size_t step = (size_t)data[1] + 1;
    load_stream_init(&s, data[0] & 1 ? ENDPOINT_OLLAMA : ENDPOINT_OPENAI);
    hone_status status = HONE_OK;
    for (size_t at = 2; at < size && status == HONE_OK; at += step) {
        status = load_stream_add(&s, (const char *)data + at, size - at < step ? size - at : step);
    }
    if (status == HONE_OK) load_stream_end(&s);
    if (s.n_words > s.n_bytes || s.n_chunks > s.n_bytes) abort();
    load_stream_release(&s);
    return 0;
}
