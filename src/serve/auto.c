#include "serve/auto.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"

enum { MAX_TRIES = 4 };

bool auto_is_wanted(const char *model) { return model && !strcmp(model, "auto"); }

/* --- the question --- */

/* Texts of a message: a string, or parts of which some are text. Of prompts: each of them. */
static hone_status add_content(buf *b, const json_t *content) {
    size_t i;
    const json_t *part;
    if (json_is_string(content))
        return buf_add(b, json_string_value(content), json_string_length(content));
    json_array_foreach(content, i, part) {
        const json_t *text = json_is_string(part) ? part : json_object_get(part, "text");
        if (!json_is_string(text)) continue;
        TRY(buf_add(b, json_string_value(text), json_string_length(text)));
        TRY(buf_add_text(b, "\n"));
    }
    return HONE_OK;
}

/* Messages, or a response's items; NULL where the body holds prompts. */
static const json_t *find_conversation(const json_t *body) {
    const json_t *messages = field_find(body, "messages");
    return messages ? messages : field_find(body, "input");
}

/* The last message of a user, or the prompts. */
static hone_status read_question(buf *b, const json_t *body) {
    const json_t *said = find_conversation(body), *prompt = field_find(body, "prompt");
    if (json_is_string(said)) return add_content(b, said);
    for (size_t i = json_array_size(said); i-- > 0;) {
        const json_t *one = json_array_get(said, i);
        const char *role = json_string_value(json_object_get(one, "role"));
        if (role && !strcmp(role, "user")) return add_content(b, json_object_get(one, "content"));
    }
    if (said || !prompt) return HONE_OK;
    if (json_array_size(prompt) && !json_is_string(json_array_get(prompt, 0)))
        return fail(HONE_ERR_ARGUMENT, "token ids are those of one model: name it instead of auto");
    return add_content(b, prompt);
}

static hone_status read_priority(route_priority *priority, const json_t *body) {
    const char *name = NULL;
    *priority = ROUTE_BALANCED;
    TRY(json_get_string(body, "priority", &name));
    for (int p = 0; name && p < ROUTE_N_PRIORITIES; p++)
        if (!strcmp(name, route_priority_name((route_priority)p))) {
            *priority = (route_priority)p;
            return HONE_OK;
        }
    if (!name) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "priority is \"speed\", \"balanced\" or \"quality\"");
}

hone_status auto_check(const json_t *body) {
    route_priority priority;
    return read_priority(&priority, body);
}

/* --- what the server has open --- */

typedef struct state {
    route_loaded loaded[32];
    size_t n_loaded;
    uint64_t held; /* bytes that stay, whoever else is loaded */
} state;

static void note_model(void *user, const open_model *m) {
    state *s = user;
    if (s->n_loaded < sizeof s->loaded / sizeof *s->loaded) {
        const hone_model_info *info = hone_model_describe(m->served.model);
        route_loaded *l = &s->loaded[s->n_loaded++];
        *l = (route_loaded){.takes_text = info->takes_text, .takes_audio = info->takes_audio,
                            .bytes = m->bytes};
        snprintf(l->name, sizeof l->name, "%s", m->served.name);
        snprintf(l->quantisation, sizeof l->quantisation, "%s", info->weight_type);
    }
    if (m->n_users || isinf(m->idle_ms_left)) s->held += m->bytes;
}

static const route_loaded *find_loaded(void *user, const char *name) {
    const state *s = user;
    for (size_t i = 0; i < s->n_loaded; i++)
        if (!strcmp(s->loaded[i].name, name)) return &s->loaded[i];
    return NULL;
}

/* What a model that is not loaded may take. */
static uint64_t room(models *m, const state *s) {
    uint64_t limit = models_count(m).limit_bytes;
    if (limit == 0) return 0;
    return limit > s->held ? limit - s->held : 1;
}

/* --- choosing --- */

typedef struct trying {
    models *models;
    bool is_chat; /* the model needs a template */
    route_request request;
    state state;
    char names[MAX_TRIES][MODEL_NAME_MAX]; /* that could not be had, … */
    char words[MAX_TRIES][512];            /* … and why */
    const char *without[MAX_TRIES];
    size_t n;
    hone_status failure; /* of the last one */
} trying;

static hone_status tell_tries(const trying *t, route_choice *c) {
    for (size_t i = 0; i < t->n; i++)
        TRY(route_reason(c, "%s cannot answer: %s", t->names[i], t->words[i]));
    return HONE_OK;
}

/* Borrows a model that can answer this body; HONE_ERR_UNSUPPORTED for another. */
static hone_status borrow(const trying *t, const char *name, served_model *served) {
    TRY(models_borrow(t->models, name, served));
    bool templated = hone_model_describe(served->model)->has_chat_template;
    if (served->scheduler && (templated || !t->is_chat)) return HONE_OK;
    bool takes_text = served->scheduler != NULL;
    models_return(t->models, served);
    served->name = NULL;
    return fail(HONE_ERR_UNSUPPORTED, takes_text ? "it has no chat template" : "it takes no text");
}

/* The model that was opened first, though the store does not know it. */
static hone_status take_first(trying *t, route_choice *c, served_model *served) {
    if (t->state.n_loaded == 0) return HONE_ERR_NOT_FOUND;
    hone_status status = borrow(t, NULL, served);
    if (status != HONE_OK) return status == HONE_ERR_UNSUPPORTED ? HONE_ERR_NOT_FOUND : status;
    c->fallback = true;
    c->basis = ROUTE_BY_DEFAULT;
    snprintf(c->model, sizeof c->model, "%s", served->name);
    snprintf(c->quantisation, sizeof c->quantisation, "%s",
             hone_model_describe(served->model)->weight_type);
    return route_reason(c,
                        "no model of the store will do: the one that the server has open answers");
}

/* One choice, borrowed; what cannot be had joins those to do without. */
static hone_status try_once(trying *t, route_choice *c, served_model *served) {
    t->request.n_without = t->n;
    hone_status status = route_choose(c, &t->request);
    if (status == HONE_ERR_NOT_FOUND) {
        char words[512];
        snprintf(words, sizeof words, "%s", hone_error_message());
        hone_status first = take_first(t, c, served);
        if (first != HONE_ERR_NOT_FOUND) return first;
        if (t->n == 0) return fail(status, "%s", words);
        return fail(t->failure, "%s: %s", t->names[t->n - 1], t->words[t->n - 1]);
    }
    if (status != HONE_OK) return status;
    status = borrow(t, c->model, served);
    if (status == HONE_OK || t->n == MAX_TRIES) return status;
    snprintf(t->names[t->n], sizeof t->names[0], "%s", c->model);
    snprintf(t->words[t->n], sizeof t->words[0], "%s", hone_error_message());
    t->without[t->n] = t->names[t->n];
    t->failure = status;
    t->n++;
    return status;
}

static hone_status choose(trying *t, route_choice *c, served_model *served) {
    hone_status status;
    for (size_t tries = 0;; tries++) {
        size_t before = t->n;
        status = try_once(t, c, served);
        if (status == HONE_OK || t->n == before) break;
        route_choice_release(c);
    }
    if (status == HONE_OK) status = tell_tries(t, c);
    if (status != HONE_OK) route_choice_release(c);
    if (status != HONE_OK && served->name) {
        models_return(t->models, served);
        served->name = NULL;
    }
    return status;
}

/* Rules that cannot be read leave the rest to choose by. */
static hone_status choose_with_rules(trying *t, route_choice *c, served_model *served) {
    route_files *files = t->request.files;
    bool has_rules = route_files_rules(files, &t->request.rules) == HONE_OK;
    hone_status status = choose(t, c, served);
    if (status == HONE_OK && !has_rules) {
        c->fallback = true;
        status = route_reason(c, "the rules written by hand cannot be read (hone route says why)");
    }
    route_files_return(files, t->request.rules);
    return status;
}

hone_status auto_borrow(route_choice *choice, served_model *served, models *m, route_files *files,
                        const json_t *body) {
    trying *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("choice", sizeof *t);
    buf question;
    buf_init(&question, SIZE_MAX / 2);
    models_each(m, note_model, &t->state);
    t->models = m;
    t->is_chat = find_conversation(body) != NULL;
    t->request = (route_request){.store = models_store(m), .files = files, .text_only = true,
                                 .without = t->without,
                                 .memory = room(m, &t->state), .find_loaded = find_loaded,
                                 .user = &t->state};
    hone_status status = read_priority(&t->request.priority, body);
    if (status == HONE_OK) status = read_question(&question, body);
    t->request.prompt = question.data ? question.data : "";
    t->request.n = question.len;
    if (status == HONE_OK) status = choose_with_rules(t, choice, served);
    buf_release(&question);
    mem_free(t);
    return status;
}

bool auto_has_system(const json_t *messages) {
    size_t i;
    const json_t *one;
    json_array_foreach(messages, i, one) {
        const char *role = json_string_value(json_object_get(one, "role"));
        if (role && (!strcmp(role, "system") || !strcmp(role, "developer"))) return true;
    }
    return false;
}

json_t *auto_to_json(const route_choice *choice, const json_t *body) {
    route_priority priority;
    return read_priority(&priority, body) == HONE_OK ? route_choice_to_json(choice, priority)
                                                     : NULL;
}
