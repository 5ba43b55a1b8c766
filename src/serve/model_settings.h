/* What stands beside a model in the store: a system prompt, parameters, the beginning of a
 * conversation, a template, adapters. Ollama's models bring them along, `POST /api/create` writes
 * them. */
#ifndef SERVE_MODEL_SETTINGS_H
#define SERVE_MODEL_SETTINGS_H

#include "base/json.h"
#include "weights/store.h"

enum { MODEL_SETTINGS_MAX_BYTES = 1 << 20, MODEL_SETTINGS_MAX_ADAPTERS = 4 };

/* Read-only once loaded: threads may share it, without changing reference counts. */
typedef struct model_settings {
    char *system;       /* NULL = none, as all of these */
    char *chat_template;
    char *license;
    json_t *parameters; /* an object: Ollama's options */
    json_t *messages;   /* an array of {"role", "content"} */
    sha256_hex digest;  /* of the model's first file; "" = not known */
    fs_path adapters[MODEL_SETTINGS_MAX_ADAPTERS];
    size_t n_adapters;
} model_settings;

/* From the files of an entry. HONE_ERR_FORMAT where one is malformed or too long. */
hone_status model_settings_load(model_settings *settings, const store *s, const store_entry *entry);
/* The template where hone can read it: Ollama's own models bring ones in Go's form, beside which
 * the model's file has its own. NULL: none. */
const char *model_settings_jinja(const model_settings *settings);

/* Whether a template is in the form of Go's text/template. */
bool model_settings_is_go(const char *chat_template);
void model_settings_release(model_settings *settings);

#endif
