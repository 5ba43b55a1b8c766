/* Finding triggers (infer/grammar_trigger.h). */
#include "infer/grammar_trigger.h"

#include <string.h>

#include "base/status.h"

hone_status triggers_init(grammar_triggers *t, const char *const *texts, size_t n) {
    *t = (grammar_triggers){.n = n};
    if (n == 0 || n > HONE_MAX_TRIGGERS)
        return fail(HONE_ERR_ARGUMENT, "%zu triggers; 1 to %d may be set", n, HONE_MAX_TRIGGERS);
    for (size_t i = 0; i < n; i++) {
        t->all[i].n = strlen(texts[i]);
        if (t->all[i].n == 0 || t->all[i].n > TRIGGER_MAX_BYTES)
            return fail(HONE_ERR_ARGUMENT, "a trigger of %zu bytes; 1 to %d may be set",
                        t->all[i].n, TRIGGER_MAX_BYTES);
        memcpy(t->all[i].text, texts[i], t->all[i].n);
        if (t->all[i].n > t->longest) t->longest = t->all[i].n;
    }
    return HONE_OK;
}

bool trigger_begun(const grammar_triggers *t, size_t number, const trigger_tail *tail, size_t k) {
    return k <= tail->n && memcmp(tail->text + tail->n - k, t->all[number].text, k) == 0;
}

/* Whether the trigger ends behind `end` bytes of the text. */
static bool ends_at(const grammar_triggers *t, size_t number, const trigger_tail *tail,
                    const char *text, size_t end) {
    size_t n = t->all[number].n, inside = end < n ? end : n;
    if (memcmp(text + end - inside, t->all[number].text + n - inside, inside) != 0) return false;
    return trigger_begun(t, number, tail, n - inside);
}

/* The last bytes of tail + text. */
static void take_up(const grammar_triggers *t, trigger_tail *tail, const char *text, size_t n) {
    size_t most = t->longest - 1, new_bytes = n < most ? n : most;
    size_t kept = tail->n < most - new_bytes ? tail->n : most - new_bytes;
    memmove(tail->text, tail->text + tail->n - kept, kept);
    memcpy(tail->text + kept, text + n - new_bytes, new_bytes);
    tail->n = kept + new_bytes;
}

bool triggers_find(const grammar_triggers *t, trigger_tail *tail, const char *text, size_t n,
                   size_t *number, size_t *end) {
    for (*end = 1; *end <= n; ++*end)
        for (*number = 0; *number < t->n; ++*number)
            if (ends_at(t, *number, tail, text, *end)) return true;
    take_up(t, tail, text, n);
    return false;
}
