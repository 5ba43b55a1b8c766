/* /api/tags, /api/show, /api/ps: what is there, and what is open. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "serve/ollama.h"
#include "serve/ollama_details.h"
#include "serve/ollama_suffix.h"
#include "serve/reply.h"
#include "text/answer_parser.h"
#include "text/thoughts.h"

#define MAX_MODELFILE_BYTES ((size_t)4 << 20)

static ollama_time time_of_seconds(int64_t seconds) {
    return ollama_time_of((struct timespec){.tv_sec = (time_t)seconds});
}

static const char *digest_of(const manifest *m) {
    return m->n_files ? m->files[0].sha256.text : "";
}

/* --- tags --- */

static json_t *tag_json(const store_entry *e) {
    const char *name = e->manifest.name.text;
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "name", name, "model", name, "modified_at",
                     time_of_seconds(e->modified).text, "size", (json_int_t)e->bytes, "digest",
                     digest_of(&e->manifest), "details", ollama_details(e->path.text));
}

void ollama_tags(const call *c) {
    store_listing listing = {.n = 0};
    json_t *list = json_array();
    hone_status status = store_list(models_store(c->models), true, &listing);
    for (size_t i = 0; status == HONE_OK && i < listing.n; i++)
        if (!listing.entries[i]->problem[0])
            json_array_append_new(list, tag_json(listing.entries[i]));
    store_listing_release(&listing);
    if (status == HONE_OK) {
        reply_json(c->x, 200, json_pack("{s:o}", "models", list));
        return;
    }
    json_decref(list);
    reply_failure(c->x, status);
}

/* --- ps --- */

static void add_open(void *list, const open_model *m) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    /* One that stays says so with a far day, as Ollama does. */
    double left = isinf(m->idle_ms_left) ? 1e11 : m->idle_ms_left < 0 ? 0 : m->idle_ms_left;
    end.tv_sec += (time_t)(left / 1000);
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:I, s:I, s:I, s:b}", "name",
                           m->served.name, "model", m->served.name, "size", (json_int_t)m->bytes,
                           "digest", m->served.settings->digest.text, "details",
                           ollama_details(m->path), "expires_at", ollama_time_of(end).text,
                           "size_vram", (json_int_t)0, "context_length",
                           (json_int_t)m->served.n_context, "requests", (json_int_t)m->n_users,
                           "stays", (int)isinf(m->idle_ms_left)));
}

void ollama_ps(const call *c) {
    json_t *list = json_array();
    models_each(c->models, add_open, list);
    models_counts counts = models_count(c->models);
    reply_json(c->x, 200, json_pack("{s:o, s:I, s:I}", "models", list, "memory_bytes",
                                    (json_int_t)counts.bytes, "memory_limit_bytes",
                                    (json_int_t)counts.limit_bytes));
}

/* --- show --- */

static hone_status add_quoted(buf *out, const char *word, const char *text) {
    bool block = strchr(text, '\n') || strchr(text, '"');
    const char *quotes = block ? "\"\"\"" : "\"";
    return buf_add_format(out, "%s %s%s%s\n", word, quotes, text, quotes);
}

/* A parameter as a Modelfile's line says it, once for each element of a list. */
static hone_status add_parameter(buf *out, const char *before, const char *name,
                                 const json_t *value) {
    size_t i;
    const json_t *one;
    if (json_is_array(value)) {
        json_array_foreach(value, i, one) TRY(add_parameter(out, before, name, one));
        return HONE_OK;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    hone_status status = text ? buf_add_format(out, "%s%-30s %s\n", before, name, text)
                              : mem_fail("parameters", 1);
    mem_free(text);
    return status;
}

static hone_status add_parameters(buf *out, const char *before, const json_t *parameters) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)parameters, name, value)
        TRY(add_parameter(out, before, name, value));
    return HONE_OK;
}

static hone_status write_modelfile(buf *out, const char *name, const model_settings *s,
                                   const char *template) {
    size_t i;
    const json_t *message;
    TRY(buf_add_format(out, "# A Modelfile for a model like this one:\nFROM %s\n", name));
    if (template) TRY(add_quoted(out, "TEMPLATE", template));
    if (s->system) TRY(add_quoted(out, "SYSTEM", s->system));
    TRY(add_parameters(out, "PARAMETER ", s->parameters));
    json_array_foreach(s->messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *content = json_string_value(json_object_get(message, "content"));
        if (role && content) TRY(buf_add_format(out, "MESSAGE %s %s\n", role, content));
    }
    return s->license ? add_quoted(out, "LICENSE", s->license) : HONE_OK;
}

static void set_text(json_t *root, const char *key, const buf *text) {
    if (text->len) json_object_set_new(root, key, json_stringn(text->data, text->len));
}

static json_t *capabilities_json(const hone_model *model) {
    const hone_model_info *info = hone_model_describe(model);
    const char *source = hone_model_chat_template(model);
    const struct { const char *name; bool has; } all[] = {
        {"completion", info->takes_text}, {"embedding", info->takes_text},
        {"vision", info->takes_images}, {"audio", info->takes_audio},
        {"insert", info->takes_text && ollama_takes_suffix(model)},
        {"tools", source && call_format_of_template(source) != CALLS_NONE},
        {"thinking", source && thoughts_of_template(source)}};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].has) json_array_append_new(list, json_string(all[i].name));
    return list;
}

typedef struct shown {
    const char *name, *path;
    int64_t modified;
    bool verbose;
    const model_settings *settings;
} shown;

static hone_status show_texts(json_t *root, const shown *s, const hone_model *model) {
    const char *template = s->settings->chat_template ? s->settings->chat_template
                                                      : hone_model_chat_template(model);
    const char *license = s->settings->license ? s->settings->license
                                               : hone_model_describe(model)->license;
    buf text;
    buf_init(&text, MAX_MODELFILE_BYTES);
    hone_status status = write_modelfile(&text, s->name, s->settings, template);
    set_text(root, "modelfile", &text);
    text.len = 0;
    if (status == HONE_OK) status = add_parameters(&text, "", s->settings->parameters);
    set_text(root, "parameters", &text);
    buf_release(&text);
    if (template) json_object_set_new(root, "template", json_string(template));
    if (*license) json_object_set_new(root, "license", json_string(license));
    if (s->settings->system) json_object_set_new(root, "system", json_string(s->settings->system));
    if (s->settings->messages)
        json_object_set_new(root, "messages", json_deep_copy(s->settings->messages));
    return status;
}

static hone_status show_model(json_t *root, const shown *s, const hone_model *model) {
    json_t *info, *tensors;
    TRY(show_texts(root, s, model));
    json_object_set_new(root, "details", ollama_details(s->path));
    json_object_set_new(root, "capabilities", capabilities_json(model));
    json_object_set_new(root, "modified_at", json_string(time_of_seconds(s->modified).text));
    TRY(ollama_model_info(s->path, s->verbose, &info));
    json_object_set_new(root, "model_info", info);
    TRY(ollama_tensors(s->path, &tensors));
    json_object_set_new(root, "tensors", tensors);
    return HONE_OK;
}

static hone_status show(json_t *root, const shown *s) {
    hone_model *model;
    const hone_model_options options = {.describe_only = true,
                                        .chat_template = model_settings_jinja(s->settings)};
    TRY(hone_model_open(&model, s->path, &options));
    hone_status status = show_model(root, s, model);
    hone_model_close(model);
    return status;
}

/* A model of the command line that no store knows. */
static void show_open(void *user, const open_model *m) {
    shown *s = user;
    if (strcmp(m->served.name, s->name) != 0) return;
    s->path = mem_copy_string(m->path, strlen(m->path));
}

static hone_status find_and_show(const call *c, json_t *root, const char *name, bool verbose) {
    const store *st = models_store(c->models);
    model_settings settings = {.n_adapters = 0};
    shown s = {.name = name, .verbose = verbose, .settings = &settings};
    store_entry entry;
    models_each(c->models, show_open, &s);
    hone_status status = store_find(st, name, &entry);
    if (status == HONE_OK) {
        status = model_settings_load(&settings, st, &entry);
        s.name = entry.manifest.name.text;
        s.modified = entry.modified;
        mem_free((void *)(uintptr_t)s.path);
        s.path = entry.path.text;
        if (status == HONE_OK) status = show(root, &s);
        model_settings_release(&settings);
        manifest_release(&entry.manifest);
        return status;
    }
    if (s.path) status = show(root, &s);
    mem_free((void *)(uintptr_t)s.path);
    return status;
}

void ollama_show(const call *c) {
    json_t *body, *root = json_object();
    const char *name;
    bool verbose = false;
    hone_status status = ollama_read_body(c, &body, &name);
    if (status == HONE_OK) {
        status = json_get_bool(body, "verbose", &verbose);
        if (status == HONE_OK) status = find_and_show(c, root, name, verbose);
        json_decref(body);
    }
    if (status == HONE_OK) {
        reply_json(c->x, 200, root);
        return;
    }
    json_decref(root);
    reply_failure(c->x, status);
}
