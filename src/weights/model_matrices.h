/* The matrices of an open model by their GGUF names, for what looks at a model from outside: calibration
 * and the measuring of sensitivities. */
#ifndef WEIGHTS_MODEL_MATRICES_H
#define WEIGHTS_MODEL_MATRICES_H

#include "model/source.h"

enum { MATRIX_NAME_BYTES = 64 };

/* The name of the tensor whose data `w` shows; false where the source has no such tensor. */
bool matrix_name(const model_source *s, const tensor *w, char name[MATRIX_NAME_BYTES]);

#endif
