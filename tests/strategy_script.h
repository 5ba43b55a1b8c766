/* An engine that follows a script: draw k (its sequence number) says texts[k], a word a step, side
 * by side with the others of its call; when asked to judge texts[k] it says Yes with p_yes[k], when
 * asked to rate it the digit ratings[k]. There may be several models, which all know the script. */
#ifndef TESTS_STRATEGY_SCRIPT_H
#define TESTS_STRATEGY_SCRIPT_H

#include <math.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "strategy/strategy_int.h"
#include "test.h"


enum { SCRIPT_DRAWS = 32 };

typedef struct script {
    const char *texts[SCRIPT_DRAWS];
    bool cut[SCRIPT_DRAWS];        /* by the length limit */
    double p_yes[SCRIPT_DRAWS];    /* when asked about texts[k] */
    int ratings[SCRIPT_DRAWS];     /* … and to rate it */
    double step_ms;                /* that each step takes; 0 = none */
    size_t n_steps, n_calls;       /* really made */
    size_t n_at_once;              /* the most draws of a call */
    size_t words_computed;
    float temperatures[SCRIPT_DRAWS];
    size_t begun[SCRIPT_DRAWS], limits[SCRIPT_DRAWS]; /* tokens that draw k goes on with, and its most */
    bool closes[SCRIPT_DRAWS];      /* a thought that is still open */
    char asked[SCRIPT_DRAWS][2048]; /* the last message of draw k */
    char last_question[2048];       /* of the first draw of the last call */
    double top_logprob;             /* of each token's best alternative; 0 = none are shown */
    double unsure_logprob;          /* … in the draws whose text begins with "?" */
    bool cancel_at_step_3;
    size_t n_models;                /* 0 = 1 */
    size_t model[SCRIPT_DRAWS];     /* that draw k was asked of */
    bool fails[8];                  /* [models] */
    char seen[4096]; /* every message of the first draw of the last call, a line each */
    /* of the call under way */
    const char *at[SCRIPT_DRAWS];
    buf said[SCRIPT_DRAWS];
} script;

static inline const hone_part *last_part(const hone_request *q) {
    return &q->messages[q->n_messages - 1].parts[0];
}

static inline size_t script_index(const script *s, const hone_part *text) {
    for (size_t k = 0; k < SCRIPT_DRAWS && s->texts[k]; k++)
        if (strlen(s->texts[k]) == text->n_bytes && !memcmp(s->texts[k], text->data, text->n_bytes))
            return k;
    return 0;
}

/* Ids of the script: 1 is Yes, 2 is No, and from here on the digits. */
enum { SCRIPT_DIGIT = 10 };

/* One token: a digit where a rating is asked for, else Yes or No with their probabilities. */
static inline void judge_text(script *s, const hone_request *q) {
    size_t k = q->n_messages < 2 ? SIZE_MAX
                                 : script_index(s, &q->messages[q->n_messages - 2].parts[0]);
    double p = k == SIZE_MAX ? 0.9 : s->p_yes[k];
    int32_t ids[] = {1, 2};
    if (last_part(q)->n_bytes > 4 && !memcmp(last_part(q)->data, "Rate", 4) && k != SIZE_MAX)
        ids[0] = SCRIPT_DIGIT + s->ratings[k], p = 1;
    double logprobs[] = {log(p), log(1 - p)};
    hone_piece piece = {.text = "Yes", .n_bytes = 3, .token = 1, .logprob = logprobs[0], .n_top = 2,
                        .top_ids = ids, .top_logprobs = logprobs};
    q->on_piece(q->user, &piece);
}

static inline void finish(script *s, const hone_request *q, size_t i, hone_finish how,
                          draws_done *done, void *user) {
    hone_result result = {.finish = how, .n_tokens = s->said[i].len / 2, .n_prompt_tokens = 10};
    result.text = buf_take(&s->said[i]);
    result.tokens = mem_calloc(result.n_tokens + 1, sizeof *result.tokens);
    bool thinks = result.text && !strncmp(result.text, "<think>", 7);
    result.n_thought_tokens = thinks ? result.n_tokens : 0;
    s->begun[q->sequence % SCRIPT_DRAWS] = q->n_begun;
    s->limits[q->sequence % SCRIPT_DRAWS] = q->max_tokens;
    s->closes[q->sequence % SCRIPT_DRAWS] = q->limit_thinking && q->thinking_budget == 1;
    s->at[i] = NULL;
    done(user, i, HONE_OK, &result);
}

static inline void script_keep_messages(script *s, const hone_request *q) {
    size_t used = 0;
    s->seen[0] = 0;
    for (size_t i = 0; i < q->n_messages && used < sizeof s->seen; i++)
        used += (size_t)snprintf(s->seen + used, sizeof s->seen - used, "%s: %.*s\n",
                                 q->messages[i].role, (int)q->messages[i].parts[0].n_bytes,
                                 (const char *)q->messages[i].parts[0].data);
}

static inline hone_status script_run(void *self, size_t model, const hone_request *q, size_t n,
                              draws_done *done, void *user) {
    script *s = self;
    CHECK(model < (s->n_models ? s->n_models : 1) && n <= SCRIPT_DRAWS);
    s->n_calls++;
    for (size_t i = 0; i < n; i++) s->model[q[i].sequence % SCRIPT_DRAWS] = model;
    if (s->fails[model]) return fail(HONE_ERR_IO, "model %zu is gone", model);
    script_keep_messages(s, &q[0]);
    if (n > s->n_at_once) s->n_at_once = n;
    snprintf(s->last_question, sizeof s->last_question, "%.*s", (int)last_part(&q[0])->n_bytes,
             (const char *)last_part(&q[0])->data);
    for (size_t i = 0; i < n; i++) {
        buf_init(&s->said[i], 4096);
        const char *text = s->texts[q[i].sequence % SCRIPT_DRAWS];
        s->at[i] = text ? text : ""; /* a question about an answer has no text of its own */
        s->temperatures[q[i].sequence % SCRIPT_DRAWS] = q[i].sampling.temperature;
        snprintf(s->asked[q[i].sequence % SCRIPT_DRAWS], sizeof s->asked[0], "%.*s",
                 (int)last_part(&q[i])->n_bytes, (const char *)last_part(&q[i])->data);
    }
    for (size_t left = n, step = 0; left; step++) {
        if (s->cancel_at_step_3 && step == 3) {
            for (size_t i = 0; i < n; i++)
                if (s->at[i]) finish(s, &q[i], i, HONE_FINISH_CANCELLED, done, user);
            return fail(HONE_ERR_CANCELLED, "cancelled");
        }
        s->n_steps++;
        if (s->step_ms > 0)
            nanosleep(&(struct timespec){.tv_nsec = (long)(1e6 * s->step_ms)}, NULL);
        for (size_t i = 0; i < n; i++) {
            if (!s->at[i]) continue;
            if (q[i].max_tokens == 1) {
                judge_text(s, &q[i]);
                finish(s, &q[i], i, HONE_FINISH_LENGTH, done, user);
                left--;
                continue;
            }
            size_t word = strcspn(s->at[i], " ");
            word += s->at[i][word] == ' ';
            hone_piece piece = {.text = s->at[i], .n_bytes = word, .token = 7, .logprob = -1,
                                .certainty = 2};
            int32_t ids[] = {1, 2};
            const char *text = s->texts[q[i].sequence % SCRIPT_DRAWS];
            bool unsure = text && text[0] == '?';
            double p = unsure ? s->unsure_logprob : s->top_logprob,
                   logprobs[] = {p, log1p(-exp(p))};
            if (p != 0 && q[i].n_top_logprobs)
                piece.n_top = 2, piece.top_ids = ids, piece.top_logprobs = logprobs;
            hone_status status = buf_add(&s->said[i], s->at[i], word);
            if (status != HONE_OK) {
                for (size_t k = 0; k < n; k++) buf_release(&s->said[k]);
                return status;
            }
            s->words_computed++;
            s->at[i] += word;
            bool left_off = q[i].on_piece(q[i].user, &piece) != 0;
            if (!left_off && *s->at[i]) continue;
            hone_finish how = left_off ? HONE_FINISH_CANCELLED
                              : s->cut[q[i].sequence % SCRIPT_DRAWS] ? HONE_FINISH_LENGTH
                                                                     : HONE_FINISH_STOP;
            finish(s, &q[i], i, how, done, user);
            left--;
        }
    }
    return HONE_OK;
}

static inline hone_status script_token_text(void *self, size_t model, int32_t id, char **text) {
    (void)self, (void)model;
    const char digit[] = {(char)('0' + id - SCRIPT_DIGIT), 0};
    const char *said = id >= SCRIPT_DIGIT ? digit : id == 1 ? " Yes" : "No";
    char *copy = mem_copy_string(said, strlen(said));
    if (!copy) return mem_fail("token", 4);
    *text = copy;
    return HONE_OK;
}

static inline const hone_model *script_model(void *self, size_t model) {
    (void)self, (void)model;
    return NULL;
}

static const hone_part question_part = {HONE_PART_TEXT, "How many?", 9};
static const hone_message question = {"user", &question_part, 1};

static inline hone_strategy_result play_with(script *s, const char *expression,
                                      const hone_strategy_options *options, hone_status expected) {
    hone_strategy *strategy = NULL;
    hone_strategy_result result = {0};
    draw_service service = {s, s->n_models ? s->n_models : 1, script_run, script_model,
                            script_token_text};
    hone_request request = {.messages = &question, .n_messages = 1,
                            .sampling = hone_sampling_greedy()};
    CHECK_OK(hone_strategy_parse(&strategy, expression));
    hone_status status = strategy_run_on(strategy, &service, &request, options, &result);
    CHECK_MSG(status == expected, "%s: %s", expression, hone_error_message());
    hone_strategy_close(strategy);
    return result;
}

static inline hone_strategy_result play(script *s, const char *expression) {
    return play_with(s, expression, NULL, HONE_OK);
}

#endif
