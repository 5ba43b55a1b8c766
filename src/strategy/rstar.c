/* rStar (Qi et al. 2024, arXiv 2408.06195): Monte Carlo tree search over partial solutions with
 * five human-like actions; the reward of an end is how many ends agree with its answer; a
 * discriminator, a second model where there is one, completes masked solutions, and those that it
 * completes to the same answer win. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

enum { MAX_NODES = 512, MAX_DEPTH = 4, N_ACTIONS = 5, MAX_JUDGED = 4 };
#define EXPLORATION 1.4 /* UCT's constant */

typedef enum action { ONE_STEP, FINISH, SUBQUESTION, ANSWER_AGAIN, REPHRASE } action;

static const char *const instructions[N_ACTIONS] = {
    [ONE_STEP] = "Write only the next step of the solution.",
    [FINISH] = "Finish the solution step by step. Close with one line: \"The answer is\" and the answer.",
    [SUBQUESTION] = "State the next smaller question that must be answered, and answer it.",
    [ANSWER_AGAIN] = "Answer the last smaller question again, step by step.",
    [REPHRASE] = "Say again what is asked: list the conditions, then the question.",
};

typedef struct node {
    size_t parent, first_child, n_children; /* children lie together; parent of the root: itself */
    size_t draw, depth;
    action action;
    double visits, reward;
} node;

typedef struct tree {
    strategy_run *run;
    node nodes[MAX_NODES];
    size_t n;
    size_t ends[MAX_NODES], n_ends; /* finished solutions */
} tree;

/* --- prompts --- */

/* The texts of the nodes from below the root down to `at`. */
static hone_status add_path(tree *t, size_t at, buf *b) {
    if (at == 0) return HONE_OK;
    TRY(add_path(t, t->nodes[at].parent, b));
    return buf_add_format(b, "%s\n", run_said(t->run, t->nodes[at].draw));
}

static hone_status action_prompt(tree *t, size_t at, action what, chat *prompt) {
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = chat_copy(prompt, &t->run->prompt);
    if (status == HONE_OK && at) status = buf_add_text(&b, "\n\nThe solution so far:\n");
    if (status == HONE_OK) status = add_path(t, at, &b);
    if (status == HONE_OK) status = buf_add_format(&b, "\n\n%s", instructions[what]);
    if (status == HONE_OK) status = chat_add_to_question(prompt, b.data);
    buf_release(&b);
    return status;
}

/* --- growing --- */

/* One child of `parents[i]` by `actions[i]` for each i, drawn together. */
static hone_status grow(tree *t, const size_t *parents, const action *actions, size_t n) {
    chat prompts[MAX_NODES / 8] = {{0}};
    draw_order orders[MAX_NODES / 8];
    hone_sampling sampling = varied_sampling(t->run);
    hone_status status = HONE_OK;
    size_t first = 0;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        status = action_prompt(t, parents[i], actions[i], &prompts[i]);
        orders[i] = (draw_order){.stage = actions[i] == FINISH ? "answer" : "step",
                                 .prompt = &prompts[i], .sampling = &sampling};
    }
    if (status == HONE_OK) status = run_draws(t->run, orders, n, NULL, NULL, &first);
    for (size_t i = 0; i < n; i++) chat_release(&prompts[i]);
    if (status != HONE_OK) return status;
    TRY(run_read_answers(t->run, first));
    for (size_t i = 0; i < n; i++) {
        node *parent = &t->nodes[parents[i]];
        if (!draw_is_whole(run_trace(t->run, first + i))) continue;
        if (parent->n_children == 0) parent->first_child = t->n;
        parent->n_children++;
        t->nodes[t->n] = (node){.parent = parents[i], .draw = first + i, .depth = parent->depth + 1,
                                .action = actions[i]};
        if (actions[i] == FINISH && run_trace(t->run, first + i)->answer)
            t->ends[t->n_ends++] = t->n;
        t->n++;
    }
    return HONE_OK;
}

/* What may follow: a question is rephrased at the root only, answered again where one was asked. */
static size_t possible_actions(const node *at, bool is_root, action *actions) {
    size_t n = 0;
    actions[n++] = FINISH;
    if (at->depth + 1 >= MAX_DEPTH) return n;
    actions[n++] = ONE_STEP;
    actions[n++] = SUBQUESTION;
    if (!is_root && at->action == SUBQUESTION) actions[n++] = ANSWER_AGAIN;
    if (is_root) actions[n++] = REPHRASE;
    return n;
}

/* Down by UCT (Kocsis and Szepesvári 2006) to a node without children. */
static size_t descend(const tree *t) {
    size_t at = 0;
    while (t->nodes[at].n_children) {
        const node *parent = &t->nodes[at];
        double best = -INFINITY;
        for (size_t i = parent->first_child; i < parent->first_child + parent->n_children; i++) {
            const node *c = &t->nodes[i];
            double value = 1e9;
            if (c->visits != 0)
                value = c->reward / c->visits +
                        EXPLORATION * sqrt(log(parent->visits + 1) / c->visits);
            if (value > best) best = value, at = i;
        }
    }
    return at;
}

/* --- rewards --- */

static double agreement(const tree *t, size_t end) {
    const char *answer = run_trace(t->run, t->nodes[end].draw)->answer;
    size_t n = 0;
    for (size_t i = 0; i < t->n_ends; i++)
        n += !strcmp(run_trace(t->run, t->nodes[t->ends[i]].draw)->answer, answer);
    return (double)n / (double)t->n_ends;
}

static void back_up(tree *t, size_t from, double reward) {
    for (size_t at = from;; at = t->nodes[at].parent) {
        t->nodes[at].visits++;
        t->nodes[at].reward += reward;
        if (at == 0) return;
    }
}

/* Expands a leaf by every action, then finishes each new child that is no end. */
static hone_status roll_out(tree *t) {
    size_t leaf = descend(t), first = t->n, first_end = t->n_ends, n = 0;
    size_t parents[N_ACTIONS];
    action actions[N_ACTIONS];
    if (t->nodes[leaf].action == FINISH && leaf) { /* an end: seen once more */
        back_up(t, leaf, run_trace(t->run, t->nodes[leaf].draw)->answer ? agreement(t, leaf) : 0);
        return HONE_OK;
    }
    size_t n_actions = possible_actions(&t->nodes[leaf], leaf == 0, actions);
    for (size_t i = 0; i < n_actions; i++) parents[i] = leaf;
    TRY(grow(t, parents, actions, n_actions));
    size_t last = t->n;
    for (size_t i = first; i < last; i++)
        if (t->nodes[i].action != FINISH) parents[n] = i, actions[n++] = FINISH;
    if (n) TRY(grow(t, parents, actions, n));
    if (t->n == first) back_up(t, leaf, 0); /* nothing came of it */
    for (size_t i = first_end; i < t->n_ends; i++) back_up(t, t->ends[i], agreement(t, t->ends[i]));
    return HONE_OK;
}

/* --- the discriminator --- */

/* Completes the first half of a solution; its answer, which belongs to the draw, may be NULL. */
static hone_status complete_half(tree *t, size_t end, const char **answer) {
    strategy_run *r = t->run;
    chat prompt = {0};
    buf path, b;
    size_t drawn;
    buf_init(&path, SIZE_MAX / 2);
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = add_path(t, end, &path);
    if (status == HONE_OK) {
        size_t half = path.len / 2; /* at a line's or a word's end */
        while (half && path.data[half] != '\n' && path.data[half] != ' ') half--;
        status = buf_add_format(&b, "\n\nThe solution so far:\n%.*s\n\n%s", (int)half, path.data,
                                instructions[FINISH]);
    }
    if (status == HONE_OK) status = chat_copy(&prompt, &r->prompt);
    if (status == HONE_OK) status = chat_add_to_question(&prompt, b.data);
    draw_order order = {.stage = "discriminate", .prompt = &prompt,
                        .model = r->service->n_models > 1 ? 1 : 0};
    if (status == HONE_OK) status = run_draw(r, &order, &drawn);
    if (status == HONE_OK) status = run_read_answers(r, drawn);
    if (status == HONE_OK) *answer = run_trace(r, drawn)->answer;
    chat_release(&prompt);
    buf_release(&path);
    buf_release(&b);
    return status;
}

/* The best end for each of the answers that most ends agree on; a completion that agrees is worth
 * as much as all ends agreeing. */
static hone_status judge(tree *t) {
    strategy_run *r = t->run;
    double best = -1;
    for (size_t k = 0; k < r->result->n_votes && k < MAX_JUDGED; k++) {
        const char *candidate = r->result->votes[k].answer, *completed = NULL;
        size_t i = 0;
        while (strcmp(run_trace(r, t->nodes[t->ends[i]].draw)->answer, candidate)) i++;
        size_t end = t->ends[i];
        TRY(complete_half(t, end, &completed));
        bool agrees = completed && !strcmp(completed, candidate);
        double score = agreement(t, end) + agrees;
        run_trace(r, t->nodes[end].draw)->score = score;
        if (score > best) best = score, r->best = t->nodes[end].draw;
    }
    return HONE_OK;
}

static hone_status search(tree *t, size_t n) {
    strategy_run *r = t->run;
    size_t draws[MAX_NODES], chosen;
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && t->n + 2 * N_ACTIONS < MAX_NODES && status == HONE_OK; i++)
        status = roll_out(t);
    if (t->n_ends == 0) return status;
    for (size_t i = 0; i < t->n_ends; i++) draws[i] = t->nodes[t->ends[i]].draw;
    hone_status voted = vote_weighted(r, draws, NULL, t->n_ends, &chosen);
    if (voted == HONE_OK) r->best = chosen;
    if (status == HONE_OK) status = voted;
    return status == HONE_OK ? judge(t) : status;
}

hone_status program_rstar(strategy_run *r, size_t n) {
    tree *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("search tree", sizeof *t);
    t->run = r;
    t->n = 1;
    hone_status status = search(t, n);
    mem_free(t);
    return status;
}
