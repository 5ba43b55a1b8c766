/* Few-shot prompts: examples with their answers as earlier turns of the conversation. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "strategy/nearness.h"
#include "strategy/strategy_int.h"

/* The first n examples that are not the question itself. */
static size_t take_first(const hone_strategy_options *o, const char *question, size_t *taken,
                         size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < o->n_examples && k < n; i++)
        if (strcmp(o->examples[i].question, question)) taken[k++] = i;
    return k;
}

static const char *question_of(const void *examples, size_t i) {
    return ((const hone_example *)examples)[i].question;
}

static size_t take_nearest(const hone_strategy_options *o, const char *question, size_t *taken,
                           size_t n) {
    return nearness_pick(taken, n, question, question_of, o->examples, o->n_examples);
}

/* --- the prompt --- */

typedef size_t take_examples(const hone_strategy_options *o, const char *question, size_t *taken,
                             size_t n);

static hone_status show_examples(strategy_run *r, size_t n, const char *name, take_examples *take) {
    const hone_strategy_options *o = r->options;
    size_t taken[HONE_MAX_DRAWS];
    char *question;
    if (o->n_examples == 0)
        return fail(HONE_ERR_UNSUPPORTED, "%s needs examples, and none are given (--examples)",
                    name);
    if (o->n_examples > HONE_MAX_EXAMPLES)
        return fail(HONE_ERR_ARGUMENT, "%zu examples, at most %d", o->n_examples,
                    HONE_MAX_EXAMPLES);
    TRY(chat_question(&r->prompt, &question));
    size_t k = take(o, question, taken, n);
    mem_free(question);
    for (size_t i = 0; i < k; i++) {
        TRY(chat_add_before_question(&r->prompt, "user", o->examples[taken[i]].question));
        TRY(chat_add_before_question(&r->prompt, "assistant", o->examples[taken[i]].answer));
    }
    return HONE_OK;
}

hone_status shape_shots(strategy_run *r, size_t n) {
    return show_examples(r, n, "shots", take_first);
}

hone_status shape_nearest(strategy_run *r, size_t n) {
    return show_examples(r, n, "nearest", take_nearest);
}
