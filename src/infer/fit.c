/* Fitting a model into a limit (include/hone/memory.h). */
#include "infer/engine.h"

enum { USUAL_CONTEXT = 4096, SHORTEST_CONTEXT = 512 };

typedef struct fitting {
    const hone_model *model;
    hone_fit fit;
} fitting;

/* Counts the settings as they stand. */
static hone_status count(fitting *f) {
    hone_fit *fit = &f->fit;
    TRY(hone_memory_needed(&fit->memory, f->model, &fit->settings));
    fit->bytes = fit->memory.resident + HONE_PROGRAM_BYTES;
    fit->fits = fit->bytes <= fit->limit;
    return HONE_OK;
}

static hone_status try_smaller_cache(fitting *f) {
    kv_layout layout;
    hone_memory_settings *s = &f->fit.settings;
    if (f->fit.fits || s->exact) return HONE_OK;
    if (session_kv_layout(&layout, f->model, HONE_KV_Q8_0, false) != HONE_OK)
        return HONE_OK; /* heads that Q8_0 does not divide */
    s->kv = HONE_KV_Q8_0;
    f->fit.gave_up |= HONE_GAVE_UP_CACHE_TYPE;
    return count(f);
}

static hone_status try_less(fitting *f, size_t *value, size_t least, unsigned what) {
    while (!f->fit.fits && *value > least) {
        *value = *value / 2 > least ? *value / 2 : least;
        f->fit.gave_up |= what;
        TRY(count(f));
    }
    return HONE_OK;
}

/* Doubles the context as long as it fits. */
static hone_status try_longer(fitting *f) {
    size_t most = f->model->net.h.n_context, *n = &f->fit.settings.n_context;
    while (f->fit.fits && *n < most) {
        hone_fit before = f->fit;
        *n = *n * 2 < most ? *n * 2 : most;
        TRY(count(f));
        if (f->fit.fits) continue;
        f->fit = before;
        break;
    }
    return HONE_OK;
}

hone_status hone_fit_model(hone_fit *fit, const hone_model *model, const hone_fit_wish *wish) {
    TRY(model_wants_family(model, FAMILY_LLAMA));
    size_t most = model->net.h.n_context, usual = most < USUAL_CONTEXT ? most : USUAL_CONTEXT;
    fitting f = {.model = model,
                 .fit = {.limit = wish->memory ? wish->memory : hone_memory_free(),
                         .settings = {.n_context = wish->n_context ? wish->n_context : usual,
                                      .n_slots = wish->n_slots ? wish->n_slots : 1,
                                      .exact = wish->exact, .adapters = wish->adapters,
                                      .n_adapters = wish->n_adapters}}};
    TRY(count(&f));
    TRY(try_smaller_cache(&f));
    TRY(try_less(&f, &f.fit.settings.n_slots, 1, HONE_GAVE_UP_SLOTS));
    TRY(try_less(&f, &f.fit.settings.n_context,
                 f.fit.settings.n_context < SHORTEST_CONTEXT ? f.fit.settings.n_context
                                                             : SHORTEST_CONTEXT,
                 HONE_GAVE_UP_CONTEXT));
    if (wish->n_context == 0 && f.fit.gave_up == 0) TRY(try_longer(&f));
    *fit = f.fit;
    return HONE_OK;
}
