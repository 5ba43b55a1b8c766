/* The plain WAV files of the reference clips (16-bit, mono, 16 kHz), read without a decoder. */
#ifndef TESTS_WAV_H
#define TESTS_WAV_H

#include <stdint.h>

#include "test.h"

/* Samples / 32768 of ../shared/data/speech/<clip>, freed with free; NULL where it is missing or of
 * another kind. */
static inline float *wav_read_clip(const char *clip, size_t *n) {
    char path[4096];
    uint8_t head[44];
    float *samples = NULL;
    *n = 0;
    if (!test_shared()) return NULL;
    snprintf(path, sizeof path, "%s/data/speech/%s", test_shared(), clip);
    FILE *in = fopen(path, "rb");
    if (!in) return NULL;
    if (fread(head, 1, sizeof head, in) == sizeof head &&
        !memcmp(head + 20, "\1\0\1\0\x80\x3e\0\0", 8) && !memcmp(head + 34, "\x10\0data", 6)) {
        fseek(in, 0, SEEK_END);
        *n = ((size_t)ftell(in) - sizeof head) / 2;
        fseek(in, sizeof head, SEEK_SET);
        samples = malloc((*n + 1) * sizeof *samples);
        for (size_t i = 0; i < *n; i++) {
            int low = fgetc(in), high = fgetc(in);
            samples[i] = (float)(int16_t)(low | high << 8) / 32768;
        }
    }
    fclose(in);
    return samples;
}

#endif
