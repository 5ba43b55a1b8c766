/* Adapters and the sessions that use them (include/hone/adapter.h). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "infer/engine.h"

_Static_assert((int)HONE_MAX_ADAPTERS == (int)LORA_MAX_SET, "what the header promises");

static hone_status open_weights(hone_adapter *a, const hone_model *model) {
    lora_file file;
    TRY(lora_file_open(&file, a->path));
    hone_status status = lora_open(&a->weights, &file, &model->source, &model->net.h);
    lora_file_release(&file);
    return status;
}

hone_status hone_adapter_open(hone_adapter **adapter, const hone_model *model, const char *path) {
    TRY(model_wants_family(model, FAMILY_LLAMA));
    hone_adapter *a = mem_calloc(1, sizeof *a);
    if (!a) return mem_fail("adapter", sizeof *a);
    a->model = model;
    a->path = mem_copy_string(path, strlen(path));
    hone_status status = a->path ? open_weights(a, model) : mem_fail("path", strlen(path));
    if (status != HONE_OK) {
        hone_adapter_close(a);
        return status;
    }
    a->info = (hone_adapter_info){.path = a->path, .n_matrices = a->weights->n_modules,
                                  .rank = a->weights->widest_rank, .bytes = a->weights->bytes};
    *adapter = a;
    return HONE_OK;
}

void hone_adapter_close(hone_adapter *a) {
    if (!a) return;
    lora_release(a->weights);
    mem_free(a->path);
    mem_free(a);
}

const hone_adapter_info *hone_adapter_describe(const hone_adapter *a) { return &a->info; }

hone_status hone_session_set_adapters(hone_session *s, hone_adapter *const *adapters,
                                      const float *scales, size_t n) {
    lora_use uses[LORA_MAX_SET];
    lora_set *set = NULL;
    if (n > LORA_MAX_SET)
        return fail(HONE_ERR_ARGUMENT, "%zu adapters, at most %d", n, LORA_MAX_SET);
    size_t n_used = 0;
    for (size_t i = 0; i < n; i++) {
        float scale = scales ? scales[i] : 1;
        if (adapters[i]->model != s->model)
            return fail(HONE_ERR_ARGUMENT, "%s was opened for another model", adapters[i]->path);
        if (!isfinite(scale))
            return fail(HONE_ERR_ARGUMENT, "%s: a scale of %g", adapters[i]->path, (double)scale);
        if (scale != 0) uses[n_used++] = (lora_use){adapters[i]->weights, scale};
    }
    if (n_used) TRY(lora_set_open(&set, uses, n_used));
    bool same = lora_set_equal(set, s->adapters);
    lora_set_release(same ? set : s->adapters);
    if (same) return HONE_OK;
    s->adapters = set;
    return hone_session_rewind(s, 0);
}
