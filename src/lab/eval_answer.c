/* Tasks in which the model writes: requests for all items at once, then one verdict each. */
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"
#include "base/system.h"
#include "lab/eval_int.h"
#include "lab/prompt_form.h"

enum { MAX_DIRECTIONS = 2, MAX_OPTIONS_BYTES = 1 << 20 };

typedef struct answering {
    eval_run_state *run;
    size_t n_directions; /* requests for each item */
    char **prompts;      /* [n_items · n_directions], as the next three */
    subject_request *requests;
    subject_answer *answers;
    eval_code_check *checks;
} answering;

static size_t n_requests(const answering *a) { return a->run->r->n_items * a->n_directions; }

/* Beside what a strategy chose: whether any of its draws was right. The gap shows the selector. */
static bool has_oracle(const eval_run_state *run) {
    const eval_result *r = run->r;
    return subject_describe(run->s)->strategy && r->n_figures == 1 &&
           r->figures[0].metric == &metric_accuracy;
}

static hone_status add_figures(eval_run_state *run) {
    eval_result *r = run->r;
    switch (run->t->kind) {
    case TASK_IFEVAL:
        eval_add_figure(r, "prompt_strict", &metric_accuracy);
        eval_add_figure(r, "prompt_loose", &metric_accuracy);
        eval_add_figure(r, "instruction_strict", &metric_instructions);
        eval_add_figure(r, "instruction_loose", &metric_instructions);
        break;
    case TASK_CRUX:
        eval_add_figure(r, "output", &metric_accuracy);
        eval_add_figure(r, "input", &metric_accuracy);
        break;
    case TASK_TRANSLATION: eval_add_figure(r, "chrf", &metric_chrf); break;
    case TASK_SUMMARY: eval_add_figure(r, "rouge_l", &metric_rouge_l); break;
    case TASK_CODE: eval_add_figure(r, "pass@1", &metric_accuracy); break;
    case TASK_OPEN: eval_add_figure(r, "answered", &metric_accuracy); break;
    default: eval_add_figure(r, "accuracy", &metric_accuracy); break;
    }
    if (has_oracle(run)) eval_add_figure(r, "oracle", &metric_accuracy);
    return HONE_OK;
}

/* --- requests --- */

static json_t *options_of(const json_t *item) {
    buf text;
    size_t i;
    json_t *choice, *members = NULL;
    buf_init(&text, MAX_OPTIONS_BYTES);
    hone_status status = HONE_OK;
    json_array_foreach(json_object_get(item, "choices"), i, choice) {
        const char *words = json_string_value(choice);
        if (status == HONE_OK && words)
            status = buf_add_format(&text, "%s%s. %s", i ? "\n" : "", eval_label(i), words);
    }
    if (status == HONE_OK) members = json_pack("{s:s}", "options", text.data ? text.data : "");
    buf_release(&text);
    return members;
}

static hone_status letter_prompt(const eval_run_state *run, const json_t *item, char **text) {
    buf out;
    json_t *members = options_of(item);
    if (!members) return mem_fail("options", 0);
    buf_init(&out, MAX_OPTIONS_BYTES);
    hone_status status = prompt_form_fill(&out, run->t->answer_prompt, item, members);
    if (status == HONE_OK && !(*text = buf_take(&out))) status = mem_fail("prompt", out.len);
    json_decref(members);
    buf_release(&out);
    return status;
}

static hone_status make_prompt(const answering *a, const json_t *item, size_t direction,
                               char **text) {
    const eval_run_state *run = a->run;
    const task *t = run->t;
    if (t->kind == TASK_CHOICE) return letter_prompt(run, item, text);
    const char *form = direction == 1 ? t->prompt_input : run->r->chat ? t->chat_prompt : t->prompt;
    return eval_prompt(run, form, item, text);
}

/* How votes are read is how answers are judged. */
static hone_answer_form answer_form(const task *t) {
    switch (t->kind) {
    case TASK_CHOICE: return HONE_ANSWER_CHOICE;
    case TASK_NUMBER: return HONE_ANSWER_NUMBER;
    case TASK_CODE: return HONE_ANSWER_CODE;
    default: return HONE_ANSWER_AUTO;
    }
}

/* Draws and streams have nothing in common, whatever the seeds. */
static uint64_t seed_of(const eval_settings *s, size_t draw) {
    uint64_t seed = s->sampling ? s->sampling->seed : s->seed;
    if (draw == 0 && s->stream == 0) return seed;
    return philox4x32((philox_block){{(uint32_t)draw, s->stream, 0, 2}}, seed).word[0];
}

static hone_status make_requests(answering *a) {
    eval_run_state *run = a->run;
    const task *t = run->t;
    size_t n = n_requests(a);
    a->prompts = mem_calloc(n, sizeof *a->prompts);
    a->requests = mem_calloc(n, sizeof *a->requests);
    a->answers = mem_calloc(n, sizeof *a->answers);
    a->checks = mem_calloc(n, sizeof *a->checks);
    if (!a->prompts || !a->requests || !a->answers || !a->checks)
        return mem_fail("requests", n * sizeof *a->requests);
    for (size_t i = 0; i < n; i++) {
        const eval_item *item = &run->r->items[i / a->n_directions];
        hone_status status = make_prompt(a, eval_json(run, item), i % a->n_directions,
                                         &a->prompts[i]);
        if (status != HONE_OK) return fail_context(status, "item %s", task_item_id(t, item->index));
        const eval_settings *s = run->settings;
        a->requests[i] = (subject_request){
            .prompt = a->prompts[i], .system = t->system, .chat = run->r->chat,
            .stop = run->r->chat ? NULL : t->stop, .n_stop = run->r->chat ? 0 : t->n_stop,
            .max_tokens = s->max_tokens ? s->max_tokens : t->max_tokens, .form = answer_form(t),
            .sampling = s->sampling ? *s->sampling : hone_sampling_greedy()};
        a->requests[i].sampling.seed = seed_of(s, item->draw);
        if (t->kind == TASK_CODE && t->check) {
            a->checks[i] = (eval_code_check){run, item->index};
            a->requests[i].check = eval_check_answer;
            a->requests[i].check_user = &a->checks[i];
        }
    }
    return HONE_OK;
}

static void release(answering *a) {
    for (size_t i = 0; i < n_requests(a); i++) {
        if (a->prompts) mem_free(a->prompts[i]);
        if (a->answers) subject_answer_release(&a->answers[i]);
    }
    mem_free(a->prompts);
    mem_free(a->requests);
    mem_free(a->answers);
    mem_free(a->checks);
}

/* --- verdicts --- */

static bool is_blank(const char *text) { return text[strspn(text, " \t\r\n")] == '\0'; }

/* Where only a beginning of the completion counts, the limit of tokens cut nothing if that is
 * there. */
static bool was_cut(const task *t, const subject_answer *answer) {
    if (answer->end != SUBJECT_CUT) return false;
    switch (t->cut) {
    case TASK_CUT_LINE: return !strchr(answer->text, '\n');
    case TASK_CUT_BRACE_LINE: return !strstr(answer->text, "\n}");
    case TASK_CUT_CLOSING_BRACE: return !strchr(answer->text, '}');
    default: return true;
    }
}

static void count_answer(eval_result *r, const task *t, const subject_answer *answer) {
    r->n_prompt_tokens += answer->n_prompt_tokens;
    r->n_tokens += answer->n_tokens;
    r->n_draws += answer->n_drawn ? answer->n_drawn : 1;
    r->n_failed += answer->end == SUBJECT_FAILED;
    r->n_truncated += answer->end == SUBJECT_NO_ROOM;
    bool answered = answer->end == SUBJECT_STOPPED || answer->end == SUBJECT_CUT;
    r->n_empty += answered && is_blank(answer->text);
    r->n_cut += answered && !is_blank(answer->text) && was_cut(t, answer);
}

static json_t *sample_of(const answering *a, const eval_item *item, size_t i) {
    const subject_answer *answer = &a->answers[i];
    const char *id = task_item_id(a->run->t, item->index);
    json_t *name = item->draw ? json_sprintf("%s #%zu", id, item->draw + 1) : json_string(id);
    json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:I}", "task", a->run->t->name, "id",
                          name, "prompt", a->prompts[i], "output", answer->text, "end",
                          subject_end_name(answer->end), "prompt_tokens",
                          (json_int_t)answer->n_prompt_tokens, "tokens",
                          (json_int_t)answer->n_tokens);
    const char *group = task_item_group(a->run->t, item->index);
    if (group) json_object_set_new(o, "group", json_string(group));
    return o;
}

/* Each draw judged as if it had been chosen. */
static hone_status judge_oracle(const eval_run_state *run, eval_item *item,
                                const subject_answer *answer) {
    bool any = item->counts[0].of[0] > 0;
    json_t *texts = json_array();
    for (size_t i = 0; i < answer->n_draws; i++) {
        eval_item draw = {.index = item->index, .sample = json_object()};
        hone_status status = eval_judge(run, &draw, 0, answer->draws[i]);
        json_decref(draw.sample);
        if (status != HONE_OK) {
            json_decref(texts);
            return status;
        }
        any |= draw.counts[0].of[0] > 0;
        json_array_append_new(texts, json_string(answer->draws[i]));
    }
    json_object_set_new(item->sample, "draws", texts);
    item->counts[1] = (metric_counts){{any, 1}};
    return HONE_OK;
}

/* An item is done when all its answers are; those that failed are judged as empty ones. */
static hone_status judge_item(answering *a, size_t index) {
    eval_run_state *run = a->run;
    eval_item *item = &run->r->items[index];
    size_t first = index * a->n_directions;
    for (size_t d = 0; d < a->n_directions; d++)
        if (a->answers[first + d].end == SUBJECT_NOT_DONE) return HONE_OK;
    item->sample = sample_of(a, item, first);
    if (a->n_directions == 2)
        json_object_set_new(item->sample, "input", sample_of(a, item, first + 1));
    for (size_t d = 0; d < a->n_directions; d++) {
        const subject_answer *answer = &a->answers[first + d];
        bool answered = answer->end == SUBJECT_STOPPED || answer->end == SUBJECT_CUT;
        count_answer(run->r, run->t, answer);
        hone_status status = eval_judge(run, item, d, answered ? answer->text : "");
        if (status == HONE_OK && run->r->n_figures == 2 &&
            !strcmp(run->r->figures[1].name, "oracle"))
            status = judge_oracle(run, item, answer);
        if (status != HONE_OK)
            return fail_context(status, "item %s", task_item_id(run->t, item->index));
    }
    item->done = true;
    return HONE_OK;
}

static bool on_progress(void *context, size_t n_done, size_t n) {
    return eval_tell(context, "asking", n_done, n) == HONE_OK;
}

hone_status eval_run_answers(eval_run_state *run) {
    answering a = {.run = run, .n_directions = run->t->kind == TASK_CRUX ? MAX_DIRECTIONS : 1};
    const subject_progress progress = {on_progress, run};
    bool runs_code = run->t->kind == TASK_CODE || run->t->kind == TASK_CRUX;
    hone_status status = runs_code ? eval_check_code(run->t) : HONE_OK;
    if (status == HONE_OK) status = add_figures(run);
    if (status == HONE_OK) status = make_requests(&a);
    if (status == HONE_OK) {
        double start_ms = clock_ms();
        status = subject_generate(run->s, a.requests, n_requests(&a), a.answers, &progress);
        run->r->answer_seconds = (clock_ms() - start_ms) / 1000;
        hone_status judged = HONE_OK;
        bool stopped = status == HONE_ERR_CANCELLED;
        for (size_t i = 0; i < run->r->n_items && judged == HONE_OK; i++) {
            judged = judge_item(&a, i);
            if (judged == HONE_OK && runs_code && !stopped)
                judged = eval_tell(run, "running programs", i + 1, run->r->n_items);
        }
        if (status == HONE_OK || stopped) status = judged == HONE_OK ? status : judged;
    }
    release(&a);
    return status;
}
