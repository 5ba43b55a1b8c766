#include "weights/merge.h"

static hone_status open_one(merge *m, const merge_adapter *adapter, const model_source *base,
                            const hparams *h) {
    lora_file file;
    TRY(lora_file_open(&file, adapter->path));
    hone_status status = lora_open(&m->adapters[m->n], &file, base, h);
    lora_file_release(&file);
    TRY(status);
    m->factors[m->n++] = adapter->scale;
    return HONE_OK;
}

hone_status merge_open(merge *m, const recode_options *options, const model_source *base) {
    hparams h;
    *m = (merge){.n = 0};
    if (options->n_adapters == 0) return HONE_OK;
    if (options->n_adapters > LORA_MAX_SET)
        return fail(HONE_ERR_ARGUMENT, "%zu adapters, at most %d", options->n_adapters,
                    LORA_MAX_SET);
    TRY(hparams_read(&h, base));
    for (size_t i = 0; i < options->n_adapters; i++)
        TRY(open_one(m, &options->adapters[i], base, &h));
    return HONE_OK;
}

void merge_release(merge *m) {
    while (m->n > 0) lora_release(m->adapters[--m->n]);
}

static void add_to_row(const void *user, size_t row, float *x) {
    const merge_sum *sum = user;
    for (size_t i = 0; i < sum->n; i++)
        lora_add_to_row(sum->modules[i], sum->factors[i], row, x);
}

void merge_into(const merge *m, const char *name, merge_sum *sum, recode_change *change) {
    sum->n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const lora_module *module = lora_find(m->adapters[i], name);
        if (!module) continue;
        sum->modules[sum->n] = module;
        sum->factors[sum->n++] = m->factors[i];
    }
    if (sum->n == 0) return;
    change->add = add_to_row;
    change->user = sum;
}
