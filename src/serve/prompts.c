/* Reading prompts (serve/prompts.h). */
#include "serve/prompts.h"

#include "base/mem.h"

static bool is_one(const json_t *value) {
    return json_is_string(value) || json_is_integer(json_array_get(value, 0));
}

size_t prompts_count(const json_t *value) {
    if (is_one(value)) return 1;
    size_t n = json_array_size(value);
    return n <= PROMPTS_MAX ? n : 0;
}

static hone_status read_ids(prompt_ids *out, const json_t *list, const char *name, size_t n_vocab) {
    size_t n = json_array_size(list);
    out->ids = mem_calloc(n, sizeof *out->ids);
    if (!out->ids) return mem_fail(name, n * sizeof *out->ids);
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t id;
        if (!json_to_u64(json_array_get(list, i), &id) || id >= n_vocab)
            return fail(HONE_ERR_ARGUMENT, "%s holds what is no token of this model", name);
        out->ids[i] = (int32_t)id;
    }
    return HONE_OK;
}

static hone_status read_one(prompt_ids *out, const json_t *value, const char *name,
                            const hone_model *model) {
    if (json_is_string(value))
        TRY(hone_tokenize(model, json_string_value(value), json_string_length(value), true,
                          &out->ids, &out->n));
    else if (json_is_integer(json_array_get(value, 0)))
        TRY(read_ids(out, value, name, hone_model_describe(model)->n_vocab));
    return out->n ? HONE_OK : fail(HONE_ERR_ARGUMENT, "%s is empty", name);
}

hone_status prompts_read(prompts *out, const json_t *value, const char *name,
                         const hone_model *model) {
    prompts p = {.n = prompts_count(value)};
    if (p.n == 0)
        return fail(HONE_ERR_ARGUMENT,
                    "%s must be a text, token ids, or a list of 1 to %d of these", name,
                    PROMPTS_MAX);
    p.items = mem_calloc(p.n, sizeof *p.items);
    if (!p.items) return mem_fail(name, p.n * sizeof *p.items);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < p.n && status == HONE_OK; i++)
        status = read_one(&p.items[i], is_one(value) ? value : json_array_get(value, i), name,
                          model);
    if (status == HONE_OK) *out = p;
    else prompts_release(&p);
    return status;
}

void prompts_release(prompts *p) {
    for (size_t i = 0; p->items && i < p->n; i++) hone_free(p->items[i].ids);
    mem_free(p->items);
    *p = (prompts){0};
}
