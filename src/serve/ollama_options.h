/* Ollama's `options`, of a request or of a model's parameters: what they mean here, and which mean
 * nothing (docs/serving.md has the table). */
#ifndef SERVE_OLLAMA_OPTIONS_H
#define SERVE_OLLAMA_OPTIONS_H

#include "base/json.h"
#include "hone/request.h"

typedef struct ollama_options {
    hone_sampling sampling;
    size_t max_tokens; /* 0 = no limit */
    size_t n_context;  /* the most that prompt and answer take; 0 = what the server allows */
    const char *const *stops; /* mem_free; the texts belong to the JSON */
    size_t n_stops;
    char ignored[256]; /* names of those without a meaning here, "num_gpu, numa"; "" = none */
} ollama_options;

/* What Ollama does where nothing is said; `recommended` is the model's own. */
void ollama_options_init(ollama_options *o, const hone_sampling *recommended);

/* Applies an object on top of what is set; NULL changes nothing. HONE_ERR_ARGUMENT or
 * HONE_ERR_FORMAT names an option out of range or of a wrong type, HONE_ERR_UNSUPPORTED one that
 * would change the text and that hone does not have. */
hone_status ollama_options_apply(ollama_options *o, const json_t *options);
/* Only those whose name is `wanted`. */
hone_status ollama_options_apply_where(ollama_options *o, const json_t *options,
                                       bool (*wanted)(const void *user, const char *name),
                                       const void *user);
void ollama_options_release(ollama_options *o);

/* `keep_alive`: seconds as a number, or a duration in Go's form ("5m", "1h30m", "-1s"). Negative
 * ones are MODELS_KEEP_ALWAYS. */
hone_status ollama_read_duration(const json_t *value, const char *name, int64_t *milliseconds);
hone_status ollama_parse_duration(const char *text, const char *name, int64_t *milliseconds);

#endif
