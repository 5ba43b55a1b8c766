#include "route/cascade_bar.h"

#include <stdio.h>

#include "base/mem.h"
#include "strategy/answer_text.h"
#include "strategy/vote.h"

/* Votes of the leading answer among the texts of a sample's draws: those that were whole. */
static hone_status count_agreeing(size_t *most, const json_t *sample) {
    const json_t *draws = json_object_get(sample, "draws");
    size_t n = json_array_size(draws), n_votes = 0;
    char *answers[HONE_MAX_DRAWS] = {NULL};
    hone_vote *votes = NULL;
    hone_status status = HONE_OK;
    *most = 0;
    if (n > HONE_MAX_DRAWS) n = HONE_MAX_DRAWS;
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        status = answer_read(json_string_value(json_array_get(draws, i)), HONE_ANSWER_AUTO,
                             &answers[i]);
    if (status == HONE_OK && n)
        status = votes_count(&votes, &n_votes, (const char *const *)answers, NULL, n);
    if (n_votes) *most = votes[0].n;
    votes_free(votes, n_votes);
    for (size_t i = 0; i < n; i++) mem_free(answers[i]);
    return status;
}

/* What a cascade does with an item whose leading answer has `most` votes. */
typedef struct outcome {
    double right, seconds;
    bool escalated;
} outcome;

static outcome play(const policy_trial *t, int half, const policy_item *at, size_t most,
                    size_t needed) {
    bool escalated = most < needed;
    return (outcome){policy_right(t, half, at, escalated),
                     policy_seconds(t, half, at, 0) +
                         (escalated ? policy_seconds(t, half, at, 1) : 0),
                     escalated};
}

static hone_status try_bars(cascade_bar *b, const policy_trial *t) {
    size_t n = policy_trial_items(t, POLICY_LEARNT);
    for (size_t k = 0; k < b->n_draws; k++)
        b->tries[k] = (cascade_try){.bar = (double)(k + 1) / (double)b->n_draws};
    for (size_t i = 0; i < n; i++) {
        policy_item at = policy_trial_item(t, POLICY_LEARNT, i);
        size_t most;
        TRY(count_agreeing(&most, policy_sample(t, POLICY_LEARNT, &at, 0)));
        for (size_t k = 0; k < b->n_draws; k++) {
            outcome o = play(t, POLICY_LEARNT, &at, most, k + 1);
            b->tries[k].right += o.right / (double)n;
            b->tries[k].seconds += o.seconds / (double)n;
            b->tries[k].escalated += o.escalated / (double)n;
        }
    }
    for (size_t k = 1; k < b->n_draws; k++)
        if (b->tries[k].right > b->tries[b->best].right + 1e-9) b->best = k;
    return HONE_OK;
}

static hone_status play_held_out(cascade_bar *b, const policy_trial *t) {
    policy *p = b->table.policies;
    for (size_t i = 0; i < b->table.n_items; i++) {
        policy_item at = policy_trial_item(t, POLICY_HELD_OUT, i);
        size_t most;
        TRY(count_agreeing(&most, policy_sample(t, POLICY_HELD_OUT, &at, 0)));
        outcome o = play(t, POLICY_HELD_OUT, &at, most, b->best + 1);
        p[0].right[i] = o.right;
        p[0].seconds[i] = o.seconds;
        b->escalated += o.escalated / (double)b->table.n_items;
        for (size_t entry = 0; entry < 2; entry++) {
            p[2 - entry].right[i] = policy_right(t, POLICY_HELD_OUT, &at, entry);
            p[2 - entry].seconds[i] = policy_seconds(t, POLICY_HELD_OUT, &at, entry);
        }
    }
    return HONE_OK;
}

hone_status cascade_bar_measure(cascade_bar *b, const policy_trial *t, size_t n_draws) {
    *b = (cascade_bar){.n_draws = n_draws, .table.n_items = policy_trial_items(t, POLICY_HELD_OUT)};
    TRY(policy_add(&b->table, "cascade"));
    TRY(policy_add(&b->table, "always the second"));
    TRY(policy_add(&b->table, "never the second"));
    TRY(try_bars(b, t));
    TRY(play_held_out(b, t));
    return policy_judge(&b->table, t->settings[POLICY_HELD_OUT].eval.seed);
}

void cascade_bar_release(cascade_bar *b) { policy_table_release(&b->table); }

json_t *cascade_bar_to_json(const cascade_bar *b, const char *second) {
    json_t *root = policy_table_to_json(&b->table), *bars = json_array();
    char name[512];
    snprintf(name, sizeof name, "cascade%zu@%g with %s", b->n_draws, b->tries[b->best].bar, second);
    for (size_t k = 0; k < b->n_draws; k++) {
        const cascade_try *y = &b->tries[k];
        json_array_append_new(bars,
                              json_pack("{s:f, s:f, s:f, s:f}", "bar", y->bar, "right", y->right,
                                        "seconds", y->seconds, "escalated", y->escalated));
    }
    json_object_set_new(root, "strategy", json_string(name));
    json_object_set_new(root, "escalated", json_real(b->escalated));
    json_object_set_new(root, "bars", bars);
    return root;
}
