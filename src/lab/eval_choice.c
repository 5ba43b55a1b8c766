/* Multiple choice by log-likelihood, plain and per byte; and the two contexts of a cloze. */
#include <string.h>

#include "base/mem.h"
#include "lab/eval_int.h"
#include "lab/prompt_form.h"

enum { MAX_CHOICES = 64, MAX_CHOICE_BYTES = 1 << 20 };

/* An item's share of the work: one scoring for a choice's item, one for each context of a cloze. */
typedef struct asked {
    eval_item *item;
    size_t n, answer;
    char **contexts, **continuations; /* [n]; a choice has one context: contexts[0] */
    double *logprobs;                 /* [n] */
    size_t *n_tokens;                 /* [n] */
    subject_scoring *scorings;        /* within the list of all */
    size_t n_scorings;
} asked;

typedef struct choosing {
    eval_run_state *run;
    asked *items; /* [n_items] */
    subject_scoring *scorings;
    size_t n_scorings;
} choosing;

static void release(choosing *c) {
    for (size_t i = 0; c->items && i < c->run->r->n_items; i++) {
        asked *a = &c->items[i];
        for (size_t k = 0; k < a->n; k++) {
            if (a->contexts) mem_free(a->contexts[k]);
            if (a->continuations) mem_free(a->continuations[k]);
        }
        mem_free(a->contexts);
        mem_free(a->continuations);
        mem_free(a->logprobs);
        mem_free(a->n_tokens);
    }
    mem_free(c->items);
    mem_free(c->scorings);
}

/* --- texts --- */

static hone_status fill(char **out, const char *form, const json_t *item, json_t *members) {
    buf text;
    buf_init(&text, MAX_CHOICE_BYTES);
    hone_status status = prompt_form_fill(&text, form, item, members);
    if (status == HONE_OK && !(*out = buf_take(&text))) status = mem_fail("choice", text.len);
    buf_release(&text);
    json_decref(members);
    return status;
}

static hone_status make_room(asked *a) {
    a->contexts = mem_calloc(a->n, sizeof *a->contexts);
    a->continuations = mem_calloc(a->n, sizeof *a->continuations);
    a->logprobs = mem_calloc(a->n, sizeof *a->logprobs);
    a->n_tokens = mem_calloc(a->n, sizeof *a->n_tokens);
    bool enough = a->contexts && a->continuations && a->logprobs && a->n_tokens;
    return enough ? HONE_OK : mem_fail("choices", a->n * sizeof *a->contexts);
}

static hone_status read_texts(choosing *c, asked *a) {
    const task *t = c->run->t;
    const json_t *item = eval_json(c->run, a->item);
    bool cloze = t->kind == TASK_CLOZE;
    const json_t *list = json_object_get(item, cloze ? "contexts" : "choices");
    uint64_t answer = UINT64_MAX;
    size_t n = json_array_size(list);
    TRY(json_get_u64(item, "answer", &answer));
    if (n < 2 || n > MAX_CHOICES || answer >= n)
        return fail(HONE_ERR_FORMAT,
                    "\"%s\" has %zu texts (2 to %d), and \"answer\" is none of them",
                    cloze ? "contexts" : "choices", n, MAX_CHOICES);
    a->n = n;
    a->answer = (size_t)answer;
    TRY(make_room(a));
    if (!cloze) TRY(eval_prompt(c->run, t->prompt, item, &a->contexts[0]));
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) return fail(HONE_ERR_FORMAT, "choice %zu is no text", i);
        if (cloze)
            TRY(fill(&a->contexts[i], t->prompt, item, json_pack("{s:s}", "context", text)));
        TRY(fill(&a->continuations[i], t->continuation, item, eval_choice_members(text, i)));
    }
    return HONE_OK;
}

static hone_status prepare(choosing *c) {
    eval_result *r = c->run->r;
    bool cloze = c->run->t->kind == TASK_CLOZE;
    size_t n = 0;
    c->items = mem_calloc(r->n_items, sizeof *c->items);
    if (!c->items) return mem_fail("items", r->n_items * sizeof *c->items);
    for (size_t i = 0; i < r->n_items; i++) {
        asked *a = &c->items[i];
        a->item = &r->items[i];
        hone_status status = read_texts(c, a);
        if (status != HONE_OK)
            return fail_context(status, "item %s", task_item_id(c->run->t, a->item->index));
        a->n_scorings = cloze ? a->n : 1;
        n += a->n_scorings;
    }
    c->scorings = mem_calloc(n, sizeof *c->scorings);
    if (!c->scorings) return mem_fail("items", n * sizeof *c->scorings);
    for (size_t i = 0; i < r->n_items; i++) {
        asked *a = &c->items[i];
        a->scorings = c->scorings + c->n_scorings;
        for (size_t k = 0; k < a->n_scorings; k++)
            c->scorings[c->n_scorings++] = (subject_scoring){
                .context = a->contexts[k],
                .continuations = (const char *const *)a->continuations + k,
                .n = cloze ? 1 : a->n, .logprobs = a->logprobs + k, .n_tokens = a->n_tokens + k};
    }
    return HONE_OK;
}

/* --- verdicts --- */

/* The largest one, the lower index on ties; `bytes`: divided by the lengths of the texts without
 * their leading blank. */
static size_t pick(const asked *a, bool by_bytes) {
    size_t best = 0;
    double most = 0;
    for (size_t i = 0; i < a->n; i++) {
        const char *text = a->continuations[i];
        size_t bytes = strlen(text + (*text == ' '));
        double value = a->logprobs[i] / (by_bytes && bytes > 0 ? (double)bytes : 1);
        if (i == 0 || value > most) best = i, most = value;
    }
    return best;
}

static json_t *choices_json(const asked *a) {
    json_t *list = json_array();
    for (size_t i = 0; i < a->n; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:I}", "continuation",
                                              a->continuations[i], "logprob", a->logprobs[i],
                                              "n_tokens", (json_int_t)a->n_tokens[i]));
    return list;
}

static void settle(choosing *c, asked *a) {
    eval_result *r = c->run->r;
    bool cloze = c->run->t->kind == TASK_CLOZE, truncated = false;
    for (size_t k = 0; k < a->n_scorings; k++) {
        if (!a->scorings[k].done) return;
        truncated |= a->scorings[k].truncated;
        r->n_prompt_tokens += a->scorings[k].n_context_tokens;
    }
    for (size_t i = 0; i < a->n; i++) r->n_prompt_tokens += a->n_tokens[i];
    r->n_truncated += truncated;
    size_t picked = pick(a, false), per_byte = pick(a, true);
    eval_item *item = a->item;
    item->done = true;
    item->counts[0] = (metric_counts){{picked == a->answer, 1}};
    item->counts[1] = (metric_counts){{per_byte == a->answer, 1}};
    item->sample = json_pack("{s:s, s:s, s:o, s:I, s:I, s:b, s:b}", "task", c->run->t->name, "id",
                             task_item_id(c->run->t, item->index), "choices", choices_json(a),
                             "answer", (json_int_t)a->answer, "pick", (json_int_t)picked, "right",
                             picked == a->answer, "truncated", truncated);
    if (cloze) {
        json_t *contexts = json_array();
        for (size_t i = 0; i < a->n; i++)
            json_array_append_new(contexts, json_string(a->contexts[i]));
        json_object_set_new(item->sample, "contexts", contexts);
    } else {
        json_object_set_new(item->sample, "context", json_string(a->contexts[0]));
        json_object_set_new(item->sample, "n_context_tokens",
                            json_integer((json_int_t)a->scorings[0].n_context_tokens));
        json_object_set_new(item->sample, "pick_per_byte", json_integer((json_int_t)per_byte));
    }
}

static bool on_progress(void *context, size_t n_done, size_t n) {
    return eval_tell(context, "scoring", n_done, n) == HONE_OK;
}

hone_status eval_run_choices(eval_run_state *run) {
    choosing c = {.run = run};
    const subject_progress progress = {on_progress, run};
    eval_add_figure(run->r, "accuracy", &metric_accuracy);
    if (run->t->kind == TASK_CHOICE) eval_add_figure(run->r, "accuracy_per_byte", &metric_accuracy);
    hone_status status = prepare(&c);
    if (status == HONE_OK) {
        status = subject_score(run->s, c.scorings, c.n_scorings, &progress);
        for (size_t i = 0; i < run->r->n_items; i++) settle(&c, &c.items[i]);
    }
    release(&c);
    return status;
}
