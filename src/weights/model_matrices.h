/* The matrices of an open model by their GGUF names, for what looks at a model from outside:
 * calibration and the measuring of sensitivities. */
#ifndef WEIGHTS_MODEL_MATRICES_H
#define WEIGHTS_MODEL_MATRICES_H

#include "infer/engine.h"

enum { MATRIX_NAME_BYTES = 64 };

/* The name of the tensor whose data `w` shows; false where the source has no such tensor. */
bool matrix_name(const model_source *s, const tensor *w, char name[MATRIX_NAME_BYTES]);

/* While this lasts a model lets go of its file's pages as it computes, so that it takes a small
 * part of its size as memory; every pass reads them again, from the page cache where there is room
 * for them. Nobody else computes with the model meanwhile. */
typedef struct page_thrift {
    hone_model *model;
    uint64_t bytes; /* of weights, since the last time */
} page_thrift;

void page_thrift_begin(page_thrift *t, hone_model *model);
void page_thrift_end(page_thrift *t);

#endif
