/* Models that other programs keep on this machine. hone uses them where they lie, and never changes
 * or removes anything there.
 *
 *     huggingface_hub   HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
 *                       hf.co/OWNER/REPOSITORY[:QUANT]
 *     ollama            OLLAMA_MODELS, else ~/.ollama/models, and the system service's
 *                       ollama.com/library/NAME:TAG
 *     lm-studio         ~/.lmstudio/models, ~/.cache/lm-studio/models
 *                       lmstudio/PUBLISHER/REPOSITORY:QUANT
 *
 * What is unreadable, incomplete or of another kind there is passed over in silence. */
#ifndef WEIGHTS_FOREIGN_H
#define WEIGHTS_FOREIGN_H

#include "weights/store.h"

/* Adds an entry for each model there; entries have a `keeper`. */
hone_status foreign_list(store_listing *listing);

/* A complete file with this hash and size, wherever one of them has it. The hash is what the
 * keeper says, by the file's name. */
bool foreign_find_blob(const char *sha256, uint64_t bytes, fs_path *path);

#endif
