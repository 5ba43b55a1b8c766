/* Quantising to a goal: a size that the file may have, or a loss that it may suffer. */
#ifndef WEIGHTS_QUANTISE_GOAL_H
#define WEIGHTS_QUANTISE_GOAL_H

#include "weights/quant_choice.h"
#include "weights/quantise.h"

/* One of the first two is set. */
typedef struct quantise_goal {
    uint64_t target_bytes; /* of the file, at most */
    double max_loss;       /* mean KL against the input on the plan's text, at most */
    const char *text;      /* for calibration: importance (2048 tokens) and sensitivities */
    size_t n_bytes;
    const char *text_name;
    /* Hears what is under way, of how much how much is done; false cancels. May be NULL. */
    bool (*observe)(void *context, const char *what, size_t done, size_t total);
    void *context;
} quantise_goal;

/* quantise_gguf_by with types that meet the goal. The plan's mix and types are not used; without
 * importance data it is made from the calibration text. For a loss the plan has a text, and the
 * file is measured on it, and made again smaller or larger, up to six times. *choice (release it
 * after success) is what was chosen. HONE_ERR_NOT_FOUND where the goal cannot be met: the sentence
 * says what can. */
hone_status quantise_to_goal(const char *in, const char *out, const quantise_goal *goal,
                             const quantise_plan *plan, const recode_options *options,
                             quantise_result *result, quant_choice *choice);

#endif
