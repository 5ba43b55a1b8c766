/* Prompts without a template: a text, token ids,
 * or a list of either (OpenAI's prompt and input). */
#ifndef SERVE_PROMPTS_H
#define SERVE_PROMPTS_H

#include "base/json.h"
#include "hone/model.h"

enum { PROMPTS_MAX = 2048 };

typedef struct prompt_ids {
    int32_t *ids;
    size_t n;
} prompt_ids;

typedef struct prompts {
    prompt_ids *items; /* [n] */
    size_t n;
} prompts;

/* How many prompts the value holds;
 * 0: it is none of those forms, or holds more than PROMPTS_MAX. */
size_t prompts_count(const json_t *value);

/* Texts get the model's BOS where it wants one, ids are taken as they are. `name`: of the field,
 * for errors: HONE_ERR_ARGUMENT for another form, ids that the model does not have, an empty
 * prompt. */
hone_status prompts_read(prompts *out, const json_t *value, const char *name,
                         const hone_model *model);
void prompts_release(prompts *p);

#endif
