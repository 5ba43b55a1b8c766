/* The files that a model consists of. */
#ifndef LAB_MODEL_FILES_H
#define LAB_MODEL_FILES_H

#include "base/status.h"

/* Calls `each` with every file of the model at `path`: the file; of a split one
 * ("…-00001-of-00003.gguf") all parts; of a folder all that lie in it. In no order, until a call
 * fails. HONE_ERR_NOT_FOUND. */
hone_status model_files_each(const char *path,
                             hone_status (*each)(void *context, const char *path, const char *name),
                             void *context);

#endif
