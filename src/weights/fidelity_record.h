/* What a quantised file says of its own losses: the keys `hone.fidelity.*` (docs/quantise.md). */
#ifndef WEIGHTS_FIDELITY_RECORD_H
#define WEIGHTS_FIDELITY_RECORD_H

#include "base/sha256.h"
#include "format/gguf.h"
#include "weights/fidelity.h"

typedef struct fidelity_record {
    char reference[256];     /* file name of the original, without its folder */
    char reference_type[16]; /* the type of most of its bytes */
    uint64_t reference_bytes;
    char text[64];           /* name of the text */
    sha256_hex text_sha256;
    fidelity f;
} fidelity_record;

/* Writes all keys; the numbers take the same room whatever their values are. */
hone_status fidelity_record_put(gguf_writer *w, const fidelity_record *r);

/* The record of the file at `path`; *found is false, and *r untouched, where it has none. */
hone_status fidelity_record_read(fidelity_record *r, bool *found, const char *path);

#endif
