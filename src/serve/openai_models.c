/* /v1/models: what the store holds and what is open. */
#include <string.h>

#include "serve/openai.h"
#include "serve/reply.h"
#include "weights/store.h"

static json_t *model_json(const char *name, int64_t created) {
    return json_pack("{s:s, s:s, s:I, s:s}", "id", name, "object", "model", "created",
                     (json_int_t)created, "owned_by", "hone");
}

static bool holds(const json_t *list, const char *name) {
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
        if (!strcmp(json_string_value(json_object_get(one, "id")), name)) return true;
    return false;
}

static void add_open(void *user, const open_model *model) {
    json_t *list = user;
    const char *name = model->served.name;
    if (!holds(list, name)) json_array_append_new(list, model_json(name, 0));
}

static hone_status list_models(models *m, json_t *list) {
    store *s;
    TRY(store_open(&s, NULL));
    store_listing listing = {.n = 0};
    hone_status status = store_list(s, true, &listing);
    for (size_t i = 0; status == HONE_OK && i < listing.n; i++) {
        const store_entry *e = listing.entries[i];
        if (!e->problem[0])
            json_array_append_new(list, model_json(e->manifest.name.text, e->modified));
    }
    store_listing_release(&listing);
    store_close(s);
    models_each(m, add_open, list);
    return status;
}

/* The list, or NULL after it was told why there is none. */
static json_t *make_list(const call *c) {
    json_t *list = json_array();
    hone_status status = list_models(c->models, list);
    if (status == HONE_OK) return list;
    json_decref(list);
    reply_failure(c->x, status);
    return NULL;
}

void openai_models(const call *c) {
    json_t *list = make_list(c);
    if (list) reply_json(c->x, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

void openai_model(const call *c) {
    json_t *list = make_list(c), *one, *found = NULL;
    if (!list) return;
    size_t i;
    json_array_foreach(list, i, one)
        if (!strcmp(json_string_value(json_object_get(one, "id")), c->rest)) found = one;
    if (found) reply_json(c->x, 200, json_incref(found));
    else reply_error(c->x, 404, "model_not_found", "model", "there is no model of that name here");
    json_decref(list);
}
