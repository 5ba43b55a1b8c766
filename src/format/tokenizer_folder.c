/* A Hugging Face folder → tokenizer_spec: tokenizer.json and what stands in the files beside it. */
#include <stdio.h>
#include <string.h>

#include "base/file_map.h"
#include "base/json.h"
#include "base/mem.h"
#include "format/tokenizer_spec.h"

enum { MAX_TOKENIZER_JSON = 256 << 20, MAX_CONFIG_JSON = 32 << 20, MAX_TEMPLATE = 4 << 20 };

typedef struct folder_files {
    const char *folder;
    json_t *tokenizer_config, *special_tokens_map, *generation_config, *config; /* NULL: none */
} folder_files;

static hone_status make_path(char *path, size_t size, const char *folder, const char *name) {
    int n = snprintf(path, size, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= size) return fail(HONE_ERR_ARGUMENT, "%.80s…: path too long", folder);
    return HONE_OK;
}

static hone_status read_optional(const char *folder, const char *name, json_t **out) {
    char path[4096];
    TRY(make_path(path, sizeof path, folder, name));
    hone_status status = json_parse_file(out, path, MAX_CONFIG_JSON);
    return status == HONE_ERR_NOT_FOUND ? HONE_OK : status;
}

static hone_status read_files(folder_files *f) {
    TRY(read_optional(f->folder, "tokenizer_config.json", &f->tokenizer_config));
    TRY(read_optional(f->folder, "special_tokens_map.json", &f->special_tokens_map));
    TRY(read_optional(f->folder, "generation_config.json", &f->generation_config));
    return read_optional(f->folder, "config.json", &f->config);
}

static void release_files(folder_files *f) {
    json_decref(f->tokenizer_config);
    json_decref(f->special_tokens_map);
    json_decref(f->generation_config);
    json_decref(f->config);
}

/* --- bos, eos, pad --- */

/* The text of bos_token and the like: a string, or an object with the string as `content`. */
static const char *named_token(const folder_files *f, const char *key) {
    const json_t *value = json_object_get(f->tokenizer_config, key);
    if (!value || json_is_null(value)) value = json_object_get(f->special_tokens_map, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    return json_string_value(value);
}

/* Leaves *id where the files name no token. An added token goes before an ordinary one. */
static hone_status find_named(const tokenizer_spec *spec, const folder_files *f, const char *key,
                              int32_t *id) {
    const char *text = named_token(f, key);
    int32_t found = -1;
    if (!text) return HONE_OK;
    for (size_t i = 0; i < spec->n_tokens; i++) {
        const token_entry *t = &spec->tokens[i];
        if (t->n != strlen(text) || memcmp(t->text, text, t->n) != 0) continue;
        if (found < 0 || t->type == TOKEN_CONTROL) found = (int32_t)i;
    }
    if (found < 0)
        return fail(HONE_ERR_FORMAT, "%s: %s \"%.60s\" is no token", f->folder, key, text);
    *id = found;
    return HONE_OK;
}

/* add_bos_token and add_eos_token count for the classes that rebuild their post-processor from
 * them; for all others transformers goes by tokenizer.json alone. */
static bool class_rebuilds_template(const folder_files *f) {
    static const char *const families[] = {"Llama", "CodeLlama", "Gemma", "Cohere"};
    const char *name = json_string_value(json_object_get(f->tokenizer_config, "tokenizer_class"));
    for (size_t i = 0; name && i < sizeof families / sizeof *families; i++)
        if (strncmp(name, families[i], strlen(families[i])) == 0) return true;
    return false;
}

/* A control token that is named as the unknown one never comes out of encoding; its name is kept
 * for who converts the folder. */
static void name_unknown(tokenizer_spec *spec, const folder_files *f) {
    int32_t unk = -1;
    if (spec->unk >= 0 || find_named(spec, f, "unk_token", &unk) != HONE_OK || unk < 0) return;
    if (spec->tokens[unk].type == TOKEN_CONTROL) spec->unk = unk;
}

static hone_status read_special(tokenizer_spec *spec, const folder_files *f) {
    int32_t bos = -1, eos = -1;
    name_unknown(spec, f);
    TRY(find_named(spec, f, "bos_token", &bos));
    TRY(find_named(spec, f, "eos_token", &eos));
    TRY(find_named(spec, f, "pad_token", &spec->pad));
    if (!spec->add_bos) spec->bos = bos; /* else the post-processor has named it */
    if (!spec->add_eos) spec->eos = eos;
    if (class_rebuilds_template(f)) {
        TRY(json_get_bool(f->tokenizer_config, "add_bos_token", &spec->add_bos));
        TRY(json_get_bool(f->tokenizer_config, "add_eos_token", &spec->add_eos));
        if (bos >= 0) spec->bos = bos;
        if (eos >= 0) spec->eos = eos;
    }
    return HONE_OK;
}

/* --- stops --- */

/* eos_token_id: a number, a list of numbers, or null. */
static hone_status add_eos_ids(tokenizer_spec *spec, const json_t *config, const char *what) {
    const json_t *value = json_object_get(config, "eos_token_id");
    if (!value || json_is_null(value)) return HONE_OK;
    bool list = json_is_array(value);
    size_t n = list ? json_array_size(value) : 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t id;
        if (!json_to_u64(list ? json_array_get(value, i) : value, &id) || id > INT32_MAX)
            return fail(HONE_ERR_FORMAT, "%s: eos_token_id: expected ids", what);
        /* Rows of the model beyond the tokenizer never come out as text. */
        if (id < spec->n_tokens) TRY(tokenizer_spec_add_stop(spec, (int64_t)id));
    }
    return HONE_OK;
}

static hone_status read_stops(tokenizer_spec *spec, const folder_files *f) {
    TRY(tokenizer_spec_add_stop(spec, spec->eos));
    TRY(add_eos_ids(spec, f->generation_config, "generation_config.json"));
    TRY(add_eos_ids(spec, f->config, "config.json"));
    return tokenizer_spec_add_known_stops(spec);
}

/* --- chat template --- */

static hone_status keep_template(tokenizer_spec *spec, const char *text, size_t n) {
    if (n > MAX_TEMPLATE)
        return fail(HONE_ERR_FORMAT, "chat template of %zu bytes, at most %d", n, MAX_TEMPLATE);
    spec->chat_template = mem_copy_string(text, n);
    return spec->chat_template ? HONE_OK : mem_fail("chat template", n);
}

/* A string, or a list of {name, template} of which "default" is meant. */
static hone_status template_of_config(tokenizer_spec *spec, const folder_files *f) {
    const json_t *value = json_object_get(f->tokenizer_config, "chat_template"), *item;
    size_t i;
    if (json_is_array(value)) {
        const json_t *chosen = NULL;
        json_array_foreach(value, i, item) {
            const char *name = json_string_value(json_object_get(item, "name"));
            if (name && strcmp(name, "default") == 0) chosen = json_object_get(item, "template");
        }
        value = chosen;
    }
    if (!json_is_string(value)) return HONE_OK;
    return keep_template(spec, json_string_value(value), json_string_length(value));
}

/* The file of its own goes before the string in tokenizer_config.json. */
static hone_status read_template(tokenizer_spec *spec, const folder_files *f) {
    char path[4096];
    file_map map;
    TRY(make_path(path, sizeof path, f->folder, "chat_template.jinja"));
    hone_status status = file_map_open(&map, path);
    if (status == HONE_ERR_NOT_FOUND) return template_of_config(spec, f);
    TRY(status);
    status = keep_template(spec, (const char *)map.data, map.size);
    file_map_release(&map);
    return status;
}

/* --- all of it --- */

static hone_status read_tokenizer_json(tokenizer_spec *spec, const char *folder) {
    char path[4096];
    file_map map;
    TRY(make_path(path, sizeof path, folder, "tokenizer.json"));
    TRY(file_map_open(&map, path));
    hone_status status =
        map.size > MAX_TOKENIZER_JSON
            ? fail(HONE_ERR_FORMAT, "%s: %zu bytes, at most %d", path, map.size, MAX_TOKENIZER_JSON)
            : tokenizer_spec_from_json(spec, (const char *)map.data, map.size, path);
    file_map_release(&map);
    return status;
}

static hone_status read_beside(tokenizer_spec *spec, const folder_files *f) {
    TRY(read_special(spec, f));
    TRY(read_stops(spec, f));
    return read_template(spec, f);
}

hone_status tokenizer_spec_from_folder(tokenizer_spec *spec, const char *folder) {
    tokenizer_spec read = {0};
    folder_files files = {.folder = folder};
    TRY(read_tokenizer_json(&read, folder));
    hone_status status = read_files(&files);
    if (status == HONE_OK) status = read_beside(&read, &files);
    release_files(&files);
    if (status != HONE_OK) tokenizer_spec_release(&read);
    else *spec = read;
    return status;
}
