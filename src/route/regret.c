#include "route/regret.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* The contenders as the router sees them. */
typedef struct field {
    store_entry *entries;
    store_entry **places;
    store_listing listing;
    double decode[COMPARE_MAX_ENTRIES + 1];
} field;

static void field_release(field *f) {
    mem_free(f->entries);
    mem_free(f->places);
}

static hone_status field_init(field *f, const policy_trial *t) {
    size_t n = t->n_entries;
    *f = (field){.entries = mem_calloc(n, sizeof *f->entries),
                 .places = mem_calloc(n, sizeof *f->places)};
    if (!f->entries || !f->places) return mem_fail("candidates", n * sizeof *f->entries);
    f->listing = (store_listing){.entries = f->places, .n = n};
    for (size_t i = 0; i < n; i++) {
        const compare_entry *from = &t->entries[POLICY_LEARNT][i];
        store_entry *to = f->places[i] = &f->entries[i];
        char *path;
        TRY(store_resolve(from->model, &path));
        hone_status status = fs_path_format(&to->path, "%s", path);
        mem_free(path);
        TRY(status);
        snprintf(to->manifest.name.text, sizeof to->manifest.name.text, "%s", from->label);
        to->bytes = from->file_bytes;
        f->decode[i] = from->decode.n ? from->decode.median : 0;
    }
    return HONE_OK;
}

/* Of the tasks the one that tells most of a kind; SIZE_MAX where none does. */
static size_t telling_task(const policy_trial *t, prompt_kind kind) {
    size_t best = SIZE_MAX, best_rank = SIZE_MAX;
    for (size_t k = 0; k < t->n_tasks; k++) {
        size_t rank = measured_task_rank(kind, t->tasks[POLICY_LEARNT][k]->name);
        if (rank < best_rank) best = k, best_rank = rank;
    }
    return best;
}

/* What the half to learn from says of a kind. rows[n_entries]; the best first. */
static measured measure(const policy_trial *t, field *f, prompt_kind kind, measured_row *rows) {
    measured m = {.rows = rows, .decode = f->decode};
    size_t k = telling_task(t, kind);
    if (k == SIZE_MAX) return m;
    snprintf(m.task, sizeof m.task, "%s", t->tasks[POLICY_LEARNT][k]->name);
    for (size_t i = 0; i < t->n_entries; i++) {
        const eval_result *r = &t->entries[POLICY_LEARNT][i].results[k];
        const measured_row row = {.candidate = i, .quality = r->figures[0].e, .n = r->figures[0].n};
        size_t at = m.n_rows++;
        for (; at > 0 && rows[at - 1].quality.value < row.quality.value; at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
    return m;
}

/* Whom the router names for a question. */
static hone_status ask_router(size_t *entry, const policy_trial *t, field *f, const char *question,
                              route_priority priority, uint64_t memory) {
    measured_row rows[COMPARE_MAX_ENTRIES];
    size_t n = strlen(question);
    measured m = measure(t, f, kind_of(question, n).kind, rows);
    const route_request request = {.prompt = question, .n = n, .priority = priority,
                                   .memory = memory, .text_only = true,
                                   .candidates = &f->listing, .measured = &m};
    route_choice c;
    hone_status status = route_choose(&c, &request);
    for (size_t i = 0; status == HONE_OK && i < t->n_entries; i++)
        if (!strcmp(c.model, t->entries[POLICY_LEARNT][i].label)) *entry = i;
    route_choice_release(&c);
    return status;
}

/* The words that a person would type: the item's question, else the prompt as it was sent. */
static const char *question_of(const policy_trial *t, const policy_item *at) {
    static const char *const members[] = {"question", "prompt", "text"};
    const char *text = NULL;
    for (size_t i = 0; i < 3 && !text; i++)
        text = json_string_value(json_object_get(at->item, members[i]));
    const json_t *sample = policy_sample(t, POLICY_HELD_OUT, at, 0);
    if (!text) text = json_string_value(json_object_get(sample, "prompt"));
    if (!text) text = json_string_value(json_object_get(sample, "context"));
    return text ? text : "";
}

/* Most right answers on the half to learn from, then least time. */
static size_t find_best(const policy_trial *t) {
    double most = -1, least = 0;
    size_t best = 0;
    for (size_t e = 0; e < t->n_entries; e++) {
        double right = 0, seconds = 0;
        for (size_t i = 0; i < policy_trial_items(t, POLICY_LEARNT); i++) {
            policy_item at = policy_trial_item(t, POLICY_LEARNT, i);
            right += policy_right(t, POLICY_LEARNT, &at, e);
            seconds += policy_seconds(t, POLICY_LEARNT, &at, e);
        }
        if (right > most || (right == most && seconds < least))
            best = e, most = right, least = seconds;
    }
    return best;
}

static size_t ask_oracle(const policy_trial *t, const policy_item *at) {
    size_t best = 0;
    for (size_t e = 1; e < t->n_entries; e++) {
        double gain = policy_right(t, POLICY_HELD_OUT, at, e) -
                      policy_right(t, POLICY_HELD_OUT, at, best);
        bool faster = policy_seconds(t, POLICY_HELD_OUT, at, e) <
                      policy_seconds(t, POLICY_HELD_OUT, at, best);
        if (gain > 0 || (gain == 0 && faster)) best = e;
    }
    return best;
}

static void note(policy *p, size_t i, const policy_trial *t, const policy_item *at, size_t entry) {
    p->right[i] = policy_right(t, POLICY_HELD_OUT, at, entry);
    p->seconds[i] = policy_seconds(t, POLICY_HELD_OUT, at, entry);
}

/* A choice depends on the question's kind alone; each kind is asked for once. */
static hone_status send_all(regret *r, const policy_trial *t, field *f, route_priority priority,
                            uint64_t memory) {
    size_t known[N_KINDS];
    for (size_t k = 0; k < N_KINDS; k++) known[k] = SIZE_MAX;
    for (size_t i = 0; i < r->table.n_items; i++) {
        policy_item at = policy_trial_item(t, POLICY_HELD_OUT, i);
        const char *question = question_of(t, &at);
        size_t *sent = &known[kind_of(question, strlen(question)).kind];
        if (*sent == SIZE_MAX) TRY(ask_router(sent, t, f, question, priority, memory));
        r->n_sent[*sent]++;
        note(&r->table.policies[0], i, t, &at, *sent);
        note(&r->table.policies[1], i, t, &at, r->always);
        note(&r->table.policies[2], i, t, &at, ask_oracle(t, &at));
    }
    return HONE_OK;
}

hone_status regret_measure(regret *r, const policy_trial *t, route_priority priority,
                           uint64_t memory) {
    static const char *const names[] = {"auto", "always", "oracle"};
    field f;
    *r = (regret){.table.n_items = policy_trial_items(t, POLICY_HELD_OUT), .always = find_best(t)};
    hone_status status = field_init(&f, t);
    for (size_t i = 0; i < 3 && status == HONE_OK; i++) status = policy_add(&r->table, names[i]);
    if (status == HONE_OK) status = send_all(r, t, &f, priority, memory);
    if (status == HONE_OK) status = policy_judge(&r->table, t->settings[POLICY_HELD_OUT].eval.seed);
    field_release(&f);
    return status;
}

void regret_release(regret *r) { policy_table_release(&r->table); }

json_t *regret_to_json(const regret *r, const policy_trial *t, route_priority priority) {
    json_t *root = policy_table_to_json(&r->table), *sent = json_object();
    for (size_t i = 0; i < t->n_entries; i++)
        json_object_set_new(sent, t->entries[0][i].label, json_integer((json_int_t)r->n_sent[i]));
    json_object_set_new(root, "always", json_string(t->entries[0][r->always].label));
    json_object_set_new(root, "sent", sent);
    json_object_set_new(root, "priority", json_string(route_priority_name(priority)));
    return root;
}
