#include "serve/model_settings.h"

#include <string.h>

#include "base/mem.h"

static hone_status take_text(buf *text, char **out) {
    if (*out || text->len == 0) return HONE_OK; /* the first one counts */
    *out = buf_take(text);
    return *out ? HONE_OK : mem_fail("settings", text->len);
}

static hone_status take_json(const buf *text, const char *name, bool array, json_t **out) {
    if (*out) return HONE_OK;
    json_t *value;
    TRY(json_parse(&value, text->data ? text->data : "", text->len, name));
    if (array ? json_is_array(value) : json_is_object(value)) {
        *out = value;
        return HONE_OK;
    }
    json_decref(value);
    return fail(HONE_ERR_FORMAT, "%s: expected %s", name, array ? "a list" : "an object");
}

/* Several licences stand one after the other. */
static hone_status add_license(model_settings *s, const buf *text) {
    buf all;
    buf_init(&all, (size_t)8 * MODEL_SETTINGS_MAX_BYTES);
    hone_status status = s->license ? buf_add_format(&all, "%s\n\n", s->license) : HONE_OK;
    if (status == HONE_OK) status = buf_add(&all, text->data ? text->data : "", text->len);
    char *joined = status == HONE_OK ? buf_take(&all) : NULL;
    buf_release(&all);
    if (!joined) return mem_fail("licence", text->len);
    mem_free(s->license);
    s->license = joined;
    return HONE_OK;
}

static hone_status take(model_settings *s, const char *role, buf *text) {
    if (!strcmp(role, "system")) return take_text(text, &s->system);
    if (!strcmp(role, "template")) return take_text(text, &s->chat_template);
    if (!strcmp(role, "params")) return take_json(text, "params", false, &s->parameters);
    if (!strcmp(role, "messages")) return take_json(text, "messages", true, &s->messages);
    return add_license(s, text);
}

static bool is_text(const char *role) {
    static const char *const roles[] = {"system", "template", "params", "messages", "license"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(role, roles[i])) return true;
    return false;
}

static hone_status load_file(model_settings *settings, const store *s, const manifest_file *file) {
    if (!strcmp(file->role, "adapter")) {
        if (settings->n_adapters == MODEL_SETTINGS_MAX_ADAPTERS)
            return fail(HONE_ERR_UNSUPPORTED, "more than %d adapters", MODEL_SETTINGS_MAX_ADAPTERS);
        return store_file_path(s, file, &settings->adapters[settings->n_adapters++]);
    }
    if (!is_text(file->role)) return HONE_OK;
    buf text;
    buf_init(&text, MODEL_SETTINGS_MAX_BYTES);
    hone_status status = store_read_file(s, file, &text);
    if (status == HONE_OK) status = take(settings, file->role, &text);
    buf_release(&text);
    return status;
}

hone_status model_settings_load(model_settings *settings, const store *s,
                                const store_entry *entry) {
    const manifest *m = &entry->manifest;
    *settings = (model_settings){.n_adapters = 0};
    if (m->n_files) settings->digest = m->files[0].sha256;
    for (size_t i = 0; i < m->n_files; i++) {
        hone_status status = load_file(settings, s, &m->files[i]);
        if (status == HONE_OK) continue;
        model_settings_release(settings);
        return fail_context(status, "%s: %s", m->name.text, m->files[i].role);
    }
    return HONE_OK;
}

void model_settings_release(model_settings *settings) {
    mem_free(settings->system);
    mem_free(settings->chat_template);
    mem_free(settings->license);
    json_decref(settings->parameters);
    json_decref(settings->messages);
    *settings = (model_settings){.n_adapters = 0};
}

/* Fields begin with a dot there, and control words stand in double braces. */
bool model_settings_is_go(const char *chat_template) {
    static const char *const words[] = {".", "if ", "range ", "else", "end", "with ", "$", "and ",
                                        "or ", "define ", "template ", "block "};
    for (const char *at = strstr(chat_template, "{{"); at; at = strstr(at + 2, "{{")) {
        const char *inside = at + 2 + (at[2] == '-');
        inside += strspn(inside, " \t\n");
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (!strncmp(inside, words[i], strlen(words[i]))) return true;
    }
    return false;
}

const char *model_settings_jinja(const model_settings *settings) {
    const char *t = settings->chat_template;
    return t && !model_settings_is_go(t) ? t : NULL;
}
