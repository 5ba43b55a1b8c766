/* Prompts tried on one half of a task's items, and judged on the other. */
#include "lab/prompt_tune.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"
#include "lab/eval_int.h"

enum { LEAST_ITEMS = 8, N_DRAWS = 2, N_ORDERS = 2, MAX_FORM_BYTES = 1 << 16 };

/* Streams of randomness under one seed. */
enum { STREAM_HALVES = 0x7072, STREAM_SHOTS = 0x7073 };

static const char *const instructions[] = {
    "Think step by step.",
    "Read the question carefully, then read it again before you answer.",
    "You are an expert. Answer correctly and precisely.",
    "Answer briefly, with the answer only.",
    "Work out what is asked, what is given and what follows from it; then answer.",
};

const char *prompt_instruction(size_t i) {
    return i < sizeof instructions / sizeof *instructions ? instructions[i] : NULL;
}

bool prompt_takes_shots(const task *t) {
    return t->shots.n == 0 && (t->kind == TASK_CHOICE || t->kind == TASK_NUMBER);
}

bool prompt_takes_nearest(const task *t) {
    return prompt_takes_shots(t) &&
           json_is_string(json_object_get(json_array_get(t->items, 0), "question"));
}

/* --- the two halves --- */

/* Fisher and Yates' shuffle of an array of JSON; references move with their places. */
static hone_status shuffle(json_t *array, uint64_t seed, uint32_t stream) {
    for (size_t n = json_array_size(array); n > 1; n--) {
        uint32_t random = philox4x32((philox_block){{(uint32_t)n, 0, 0, stream}}, seed).word[0];
        size_t other = (size_t)((uint64_t)random * (uint64_t)n >> 32);
        json_t *last = json_incref(json_array_get(array, n - 1));
        json_t *chosen = json_incref(json_array_get(array, other));
        int failed = json_array_set_new(array, n - 1, chosen) |
                     json_array_set_new(array, other, last);
        if (failed) return mem_fail("items", 0);
    }
    return HONE_OK;
}

/* Items first … first + n − 1 of `all` as a task of their own. */
static hone_status make_half(prompt_half *half, const task *t, json_t *all, size_t first,
                             size_t n) {
    json_build_begin();
    half->items = json_array();
    for (size_t i = first; i < first + n; i++)
        json_array_append(half->items, json_array_get(all, i));
    half->task = *t;
    half->task.items = half->items;
    half->task.n_items = n;
    return json_build_end("items");
}

hone_status prompt_split(prompt_half *train, prompt_half *held_out, const task *t, uint64_t seed) {
    if (t->n_items < LEAST_ITEMS)
        return fail(HONE_ERR_ARGUMENT, "%s has %zu items, and two halves need %d", t->name,
                    t->n_items, LEAST_ITEMS);
    json_use_mem();
    json_t *all = json_copy(t->items);
    if (!all) return mem_fail("items", t->n_items);
    size_t n = t->n_items / 2;
    hone_status status = shuffle(all, seed, STREAM_HALVES);
    if (status == HONE_OK) status = make_half(train, t, all, 0, n);
    if (status == HONE_OK) status = make_half(held_out, t, all, n, t->n_items - n);
    json_decref(all);
    return status;
}

/* --- a variant as a task --- */

/* A half's task with a variant's prompt. */
typedef struct dressed {
    task task;
    char *prompt, *chat_prompt, *shot;
    json_t *shots;
} dressed;

static void undress(dressed *d) {
    mem_free(d->prompt);
    mem_free(d->chat_prompt);
    mem_free(d->shot);
    json_decref(d->shots);
}

/* The instruction, an empty line, the form; braces of the instruction are no members. */
static hone_status put_before(char **out, const char *instruction, const char *form) {
    buf text;
    buf_init(&text, MAX_FORM_BYTES);
    hone_status status = HONE_OK;
    for (const char *c = instruction; *c && status == HONE_OK; c++) {
        status = buf_add(&text, c, 1);
        if (status == HONE_OK && (*c == '{' || *c == '}')) status = buf_add(&text, c, 1);
    }
    if (status == HONE_OK) status = buf_add_format(&text, "\n\n%s", form);
    if (status == HONE_OK && !(*out = buf_take(&text))) status = mem_fail("prompt", text.len);
    buf_release(&text);
    return status;
}

static hone_status add_instruction(dressed *d, const char *instruction) {
    task *t = &d->task;
    if (t->shots.n || d->shots) { /* it comes before the examples */
        TRY(put_before(&d->prompt, instruction, t->shots.head));
        t->shots.head = d->prompt;
        return HONE_OK;
    }
    if (t->prompt) TRY(put_before(&d->prompt, instruction, t->prompt));
    if (t->chat_prompt) TRY(put_before(&d->chat_prompt, instruction, t->chat_prompt));
    if (d->prompt) t->prompt = d->prompt;
    if (d->chat_prompt) t->chat_prompt = d->chat_prompt;
    return HONE_OK;
}

/* Moves the array's first `turn` values behind the first n. */
static hone_status rotate(json_t *array, size_t n, size_t turn) {
    for (size_t i = 0; i < turn; i++) {
        json_t *first = json_incref(json_array_get(array, 0));
        if (json_array_remove(array, 0) | json_array_insert_new(array, n - 1, first))
            return mem_fail("examples", n);
    }
    return HONE_OK;
}

/* Examples are items of the training half with their answers, in the plain form. An item is never
 * its own example. */
static hone_status add_shots(dressed *d, const json_t *train, const prompt_variant *v) {
    task *t = &d->task;
    buf form;
    buf_init(&form, MAX_FORM_BYTES);
    const char *answer = t->kind == TASK_CHOICE ? t->continuation : " {answer}";
    hone_status status = buf_add_format(&form, "%s%s\n\n", t->prompt, answer);
    if (status == HONE_OK && !(d->shot = buf_take(&form))) status = mem_fail("example", form.len);
    buf_release(&form);
    TRY(status);
    d->shots = json_copy((json_t *)train);
    if (!d->shots) return mem_fail("examples", 0);
    TRY(shuffle(d->shots, v->draw, STREAM_SHOTS));
    TRY(rotate(d->shots, v->n_shots, v->turn % v->n_shots));
    t->shots = (task_shots){.items = d->shots, .n = v->n_shots, .head = "", .form = d->shot,
                             .nearest = v->nearest};
    return HONE_OK;
}

/* Undress it in any case. */
static hone_status dress(dressed *d, const task *t, const json_t *train, const prompt_variant *v) {
    *d = (dressed){.task = *t};
    if (v->n_shots) {
        if (!prompt_takes_shots(t))
            return fail(HONE_ERR_UNSUPPORTED, "%s: no examples can be made of its items, or it has "
                                              "its own", t->name);
        if (v->nearest && !prompt_takes_nearest(t))
            return fail(HONE_ERR_UNSUPPORTED, "%s: its items have no question to be near to",
                        t->name);
        if (v->n_shots > PROMPT_MAX_SHOTS || v->n_shots >= json_array_size(train))
            return fail(HONE_ERR_ARGUMENT,
                        "%zu examples: at most %d, and fewer than half of the items", v->n_shots,
                        PROMPT_MAX_SHOTS);
        TRY(add_shots(d, train, v));
    }
    return v->instruction ? add_instruction(d, v->instruction) : HONE_OK;
}

/* --- trying --- */

static hone_status evaluate(prompt_tuning *p, subject *s, const prompt_half *half, size_t limit,
                            const prompt_variant *v, const prompt_tune_settings *settings,
                            eval_result *r) {
    dressed d;
    const eval_settings eval = {.limit = limit, .seed = settings->seed,
                                .max_tokens = settings->max_tokens, .observe = settings->observe,
                                .context = settings->context};
    hone_status status = dress(&d, &half->task, p->train.items, v);
    if (status == HONE_OK) status = eval_run(r, s, &d.task, &eval);
    if (status == HONE_OK && validity_has(&r->validity, VALIDITY_UNFINISHED))
        status = fail(HONE_ERR_CANCELLED, "stopped");
    r->task = &half->task; /* which stays */
    undress(&d);
    return status;
}

static double merit(const eval_result *r) {
    const eval_figure *f = &r->figures[0];
    return f->metric->less_is_better ? -f->e.value : f->e.value;
}

/* Tries a variant on the training half; the best one so far is taken where it is better than
 * `*best`. */
static hone_status try_one(prompt_tuning *p, subject *s, const prompt_variant *v, double *best,
                           const prompt_tune_settings *settings) {
    eval_result r = {.task = NULL};
    if (p->n_tries == PROMPT_MAX_TRIES) return HONE_OK;
    hone_status status = evaluate(p, s, &p->train, settings->n_train, v, settings, &r);
    if (status == HONE_OK) {
        p->tries[p->n_tries++] = (prompt_try){*v, r.figures[0].e};
        if (p->n_tries == 1 || merit(&r) > *best) {
            *best = merit(&r);
            p->best = *v;
        }
    }
    eval_result_release(&r);
    return status;
}

/* The examples' number first, each with some draws; then as many of the nearest; then other orders
 * of those that were best. */
static hone_status try_shots(prompt_tuning *p, subject *s, double *best,
                             const prompt_tune_settings *settings) {
    static const size_t numbers[] = {1, 3, 5}, n_numbers = sizeof numbers / sizeof *numbers;
    const char *instruction = p->best.instruction;
    for (size_t i = 0; i < n_numbers; i++)
        for (uint64_t draw = 0; draw < N_DRAWS; draw++) {
            const prompt_variant v = {instruction, numbers[i], settings->seed + draw, 0, false};
            if (v.n_shots >= p->train.task.n_items) continue;
            TRY(try_one(p, s, &v, best, settings));
        }
    for (size_t i = 0; i < n_numbers && prompt_takes_nearest(&p->train.task); i++) {
        const prompt_variant v = {instruction, numbers[i], settings->seed, 0, true};
        if (v.n_shots >= p->train.task.n_items) continue;
        TRY(try_one(p, s, &v, best, settings));
    }
    const prompt_variant found = p->best;
    for (size_t turn = 1; !found.nearest && turn <= N_ORDERS && turn < found.n_shots; turn++) {
        prompt_variant v = found;
        v.turn = turn;
        TRY(try_one(p, s, &v, best, settings));
    }
    return HONE_OK;
}

static hone_status search(prompt_tuning *p, subject *s, const prompt_tune_settings *settings) {
    double best = 0;
    TRY(try_one(p, s, &(prompt_variant){.instruction = NULL}, &best, settings));
    for (size_t i = 0; prompt_instruction(i); i++)
        TRY(try_one(p, s, &(prompt_variant){.instruction = prompt_instruction(i)}, &best,
                    settings));
    return prompt_takes_shots(&p->train.task) ? try_shots(p, s, &best, settings) : HONE_OK;
}

/* --- judging --- */

static hone_status judge(prompt_tuning *p, const prompt_tune_settings *settings) {
    task *const tasks[] = {&p->held_out.task};
    const compare_settings how = {.tasks = tasks, .n_tasks = 1, .eval = {.seed = settings->seed}};
    comparison c = {.entries = p->entries, .n_entries = 2, .settings = &how};
    hone_status status = compare_judge(&c);
    if (status == HONE_OK) p->verdict = c.verdicts[0];
    compare_forget_verdicts(&c); /* the entries' results stay */
    p->is_judged = status == HONE_OK;
    return status;
}

static hone_status run_held_out(prompt_tuning *p, subject *s,
                                const prompt_tune_settings *settings) {
    const prompt_variant own = {.instruction = NULL};
    bool same = !p->best.instruction && p->best.n_shots == 0;
    for (size_t i = 0; i < (same ? 1 : 2); i++) {
        compare_entry *e = &p->entries[i];
        e->label = i ? "tuned" : "own";
        e->n_results = 1;
        TRY(evaluate(p, s, &p->held_out, settings->n_held_out, i ? &p->best : &own, settings,
                     &e->results[0]));
    }
    return same ? HONE_OK : judge(p, settings);
}

hone_status prompt_tune(prompt_tuning *p, subject *s, const task *t,
                        const prompt_tune_settings *settings) {
    memset(p, 0, sizeof *p);
    TRY(prompt_split(&p->train, &p->held_out, t, settings->seed));
    TRY(search(p, s, settings));
    return run_held_out(p, s, settings);
}

hone_status prompt_test(prompt_tuning *p, subject *s, const task *t, const prompt_variant *variant,
                        const prompt_tune_settings *settings) {
    memset(p, 0, sizeof *p);
    TRY(prompt_split(&p->train, &p->held_out, t, settings->seed));
    p->best = *variant;
    return run_held_out(p, s, settings);
}

void prompt_tuning_release(prompt_tuning *p) {
    for (size_t i = 0; i < 2; i++)
        if (p->entries[i].n_results) eval_result_release(&p->entries[i].results[0]);
    json_decref(p->train.items);
    json_decref(p->held_out.items);
    memset(p, 0, sizeof *p);
}

static hone_status fill_prompt(char **text, const dressed *d, const char *form) {
    const eval_run_state run = {.t = &d->task};
    if (!form) return fail(HONE_ERR_UNSUPPORTED, "%s has no prompt of that form", d->task.name);
    return eval_prompt(&run, form, json_array_get(d->task.items, 0), text);
}

hone_status prompt_show(char **text, const task *t, const prompt_variant *variant, bool chat,
                        uint64_t seed) {
    dressed d = {.prompt = NULL};
    prompt_tuning p = {.n_tries = 0};
    hone_status status = prompt_split(&p.train, &p.held_out, t, seed);
    if (status == HONE_OK) status = dress(&d, &p.held_out.task, p.train.items, variant);
    if (status == HONE_OK)
        status = fill_prompt(text, &d, chat ? d.task.chat_prompt : d.task.prompt);
    undress(&d);
    prompt_tuning_release(&p);
    return status;
}
