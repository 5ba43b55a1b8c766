/* /api/create: a name for parts that the store has: an existing model or uploaded blobs, with a
 * system prompt, parameters, a template, adapters beside them; quantised on the way where that is
 * asked for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "hone/hone.h"
#include "serve/fields.h"
#include "serve/ollama.h"
#include "serve/ollama_request.h"
#include "serve/reply.h"
#include "serve/work.h"
#include "text/template.h"
#include "weights/convert.h"
#include "weights/quantise.h"

enum { MAX_FILES = 128 };

typedef struct create_task {
    json_t *body;
    models *models;
    const store *store;
    work *work;
    model_name name;
    const quant_mix *mix; /* NULL: as it is */
    manifest made;        /* room for MANIFEST_MAX_FILES */
    store_scratch scratch;
} create_task;

static void create_close(void *state) {
    create_task *t = state;
    store_scratch_close(&t->scratch);
    manifest_release(&t->made);
    json_decref(t->body);
    mem_free(t);
}

static hone_status tell(create_task *t, const char *words) {
    bool goes_on = work_tell(t->work, json_pack("{s:s}", "status", words), false);
    return goes_on ? HONE_OK : fail(HONE_ERR_CANCELLED, "cancelled");
}

/* --- checks before the answer begins --- */

/* A name that a link can have: no path, nothing hidden. */
static bool is_file_name(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && !name[n] && name[0] != '.' && name[0] != '-' && n < 128;
}

/* {"name": "sha256:…"}: blobs that are there. */
static hone_status check_files(const create_task *t, const char *key) {
    const json_t *files = field_find(t->body, key);
    const char *name;
    json_t *value;
    if (!files) return HONE_OK;
    if (!json_is_object(files) || json_object_size(files) > MAX_FILES)
        return fail(HONE_ERR_ARGUMENT, "%s maps at most %d file names to digests", key, MAX_FILES);
    json_object_foreach((json_t *)(uintptr_t)files, name, value) {
        const char *digest = json_string_value(value);
        sha256_hex sha256 = {""};
        if (!is_file_name(name))
            return fail(HONE_ERR_ARGUMENT, "%s: \"%.100s\" is no plain file name", key, name);
        if (!digest || strncmp(digest, "sha256", 6) != 0 || strlen(digest) != 71 ||
            (digest[6] != ':' && digest[6] != '-') || !sha256_is_hex(digest + 7))
            return fail(HONE_ERR_ARGUMENT, "%s: %s has no digest sha256:…", key, name);
        memcpy(sha256.text, digest + 7, sizeof sha256.text);
        if (!store_has_blob(t->store, &sha256, NULL))
            return fail(HONE_ERR_NOT_FOUND,
                        "%s: %s: the blob is not here; POST it to /api/blobs/ first", key, name);
    }
    return HONE_OK;
}

static hone_status check_template(const json_t *body) {
    const char *text = NULL;
    chat_template *parsed;
    TRY(json_get_string(body, "template", &text));
    if (!text || !*text) return HONE_OK;
    hone_status status =
        model_settings_is_go(text)
            ? fail(HONE_ERR_UNSUPPORTED, "Go templates are not taken; give the chat template in "
                   "Jinja's form, or leave it out for the model's own")
            : chat_template_open(&parsed, text, strlen(text));
    if (status != HONE_OK) return fail_context(status, "template");
    chat_template_close(parsed);
    return HONE_OK;
}

static hone_status check_parameters(const json_t *body) {
    const hone_sampling none = hone_sampling_greedy();
    ollama_options options;
    ollama_options_init(&options, &none);
    hone_status status = ollama_options_apply(&options, field_find(body, "parameters"));
    ollama_options_release(&options);
    return status == HONE_OK ? HONE_OK : fail_context(status, "parameters");
}

static hone_status check_messages(const json_t *body) {
    const json_t *messages = field_find(body, "messages");
    if (!messages) return HONE_OK;
    json_t *list = json_array();
    hone_status status = ollama_translate_messages(list, messages);
    json_decref(list);
    return status;
}

static hone_status check_license(const json_t *license) {
    bool fine = !license || json_is_string(license) || json_is_array(license);
    for (size_t i = 0; fine && i < json_array_size(license); i++)
        fine = json_is_string(json_array_get(license, i));
    return fine ? HONE_OK : fail(HONE_ERR_FORMAT, "license is neither a text nor a list of texts");
}

static hone_status check_source(const create_task *t) {
    const char *from = NULL;
    const json_t *files = field_find(t->body, "files");
    store_entry base;
    TRY(json_get_string(t->body, "from", &from));
    if ((from && *from) == (json_object_size(files) > 0))
        return fail(HONE_ERR_ARGUMENT, "a model is made of \"from\" or of \"files\", one of them");
    if (!from || !*from) return HONE_OK;
    TRY(store_find(t->store, from, &base));
    manifest_release(&base.manifest);
    return HONE_OK;
}

static hone_status check_quantize(create_task *t) {
    const char *type = NULL;
    TRY(json_get_string(t->body, "quantize", &type));
    if (!type || !*type) return HONE_OK;
    t->mix = quant_mix_by_name(type);
    return t->mix ? HONE_OK
                  : fail(HONE_ERR_ARGUMENT,
                         "quantize: there is no type %.40s; Q4_K_M and Q8_0 are usual", type);
}

static hone_status check(create_task *t, const char *name) {
    static const char *const absent[] = {"modelfile", "path", "renderer", "parser", "remote_host"};
    const char *text = NULL;
    TRY(model_name_parse(&t->name, name));
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (json_string_length(field_find(t->body, absent[i])))
            return fail(HONE_ERR_UNSUPPORTED, "%s is not taken; the fields from, files, adapters, "
                        "template, system, parameters, messages, license and quantize are",
                        absent[i]);
    TRY(json_get_string(t->body, "system", &text));
    TRY(check_source(t));
    TRY(check_files(t, "files"));
    TRY(check_files(t, "adapters"));
    TRY(check_template(t->body));
    TRY(check_parameters(t->body));
    TRY(check_messages(t->body));
    TRY(check_license(field_find(t->body, "license")));
    return check_quantize(t);
}

/* --- the manifest --- */

static manifest_file *add_file(create_task *t, const char *role, const char *name) {
    if (t->made.n_files == MANIFEST_MAX_FILES) return NULL;
    manifest_file *f = &t->made.files[t->made.n_files++];
    *f = (manifest_file){.bytes = 0};
    snprintf(f->role, sizeof f->role, "%s", role);
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

static hone_status fail_full(void) { return fail(HONE_ERR_ARGUMENT, "too many files"); }

/* Whether the request brings its own file of that role, which takes the other's place. */
static bool replaces(const create_task *t, const char *role) {
    static const struct { const char *role, *field; } fields[] = {
        {"system", "system"}, {"template", "template"}, {"params", "parameters"},
        {"messages", "messages"}, {"license", "license"}, {"adapter", "adapters"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].role, role)) return field_find(t->body, fields[i].field) != NULL;
    return false;
}

static hone_status take_model(create_task *t, const store_entry *base) {
    const manifest *m = &base->manifest;
    for (size_t i = 0; i < m->n_files; i++) {
        if (replaces(t, m->files[i].role)) continue;
        manifest_file *f = add_file(t, m->files[i].role, m->files[i].name);
        if (!f) return fail_full();
        *f = m->files[i];
    }
    memcpy(t->made.license, m->license, sizeof t->made.license);
    memcpy(t->made.source, m->source, sizeof t->made.source);
    memcpy(t->made.revision, m->revision, sizeof t->made.revision);
    return HONE_OK;
}

static hone_status take_blobs(create_task *t, const char *key, const char *role) {
    const json_t *files = field_find(t->body, key);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)files, name, value) {
        char words[160];
        manifest_file *f = add_file(t, role, name);
        if (!f) return fail_full();
        memcpy(f->sha256.text, json_string_value(value) + 7, sizeof f->sha256.text);
        if (!store_has_blob(t->store, &f->sha256, &f->bytes))
            return fail(HONE_ERR_NOT_FOUND, "%s: the blob has gone", name);
        snprintf(words, sizeof words, "using existing layer sha256:%s", f->sha256.text);
        TRY(tell(t, words));
    }
    return HONE_OK;
}

static hone_status add_text(create_task *t, const char *role, const char *text) {
    char words[64];
    snprintf(words, sizeof words, "creating %s layer", role);
    TRY(tell(t, words));
    manifest_file *f = add_file(t, role, role);
    if (!f) return fail_full();
    if (strlen(text) > MODEL_SETTINGS_MAX_BYTES)
        return fail(HONE_ERR_ARGUMENT, "%s is longer than %d bytes", role,
                    MODEL_SETTINGS_MAX_BYTES);
    return store_add_text(t->store, text, strlen(text), f);
}

static hone_status add_json(create_task *t, const char *role, const json_t *value) {
    char *text = json_dumps(value, JSON_COMPACT);
    if (!text) return mem_fail(role, 1);
    hone_status status = add_text(t, role, text);
    mem_free(text);
    return status;
}

/* Parameters of the request on top of those of the model that it is made from. */
static hone_status add_parameters(create_task *t, const json_t *inherited) {
    const json_t *own = field_find(t->body, "parameters");
    if (!own) return HONE_OK;
    json_t *all = inherited ? json_deep_copy(inherited) : json_object();
    json_object_update(all, (json_t *)(uintptr_t)own);
    hone_status status = all ? add_json(t, "params", all) : mem_fail("parameters", 1);
    json_decref(all);
    return status;
}

static hone_status add_layers(create_task *t, const json_t *inherited) {
    const char *const texts[][2] = {{"system", "system"}, {"template", "template"}};
    const json_t *license = field_find(t->body, "license");
    for (size_t i = 0; i < 2; i++) {
        const char *text = json_string_value(field_find(t->body, texts[i][0]));
        if (text && *text) TRY(add_text(t, texts[i][1], text));
    }
    TRY(add_parameters(t, inherited));
    if (json_array_size(field_find(t->body, "messages")))
        TRY(add_json(t, "messages", field_find(t->body, "messages")));
    if (json_string_length(license)) TRY(add_text(t, "license", json_string_value(license)));
    for (size_t i = 0; i < json_array_size(license); i++)
        TRY(add_text(t, "license", json_string_value(json_array_get(license, i))));
    return HONE_OK;
}

/* --- the model's files --- */

static bool is_model_file(const manifest_file *f) { return !strcmp(f->role, "model"); }

/* A folder of links to the model's files under their own names, to be opened or converted. */
static hone_status link_files(create_task *t, fs_path *folder) {
    TRY(fs_path_format(folder, "%s/model", t->scratch.folder.text));
    TRY(fs_make_folders(folder->text));
    for (size_t i = 0; i < t->made.n_files; i++) {
        fs_path from, to;
        if (!is_model_file(&t->made.files[i])) continue;
        TRY(store_file_path(t->store, &t->made.files[i], &from));
        TRY(fs_path_format(&to, "%s/%s", folder->text, t->made.files[i].name));
        if (symlink(from.text, to.text) != 0)
            return fail(HONE_ERR_IO, "%s: cannot link: %s", to.text, strerror(errno));
    }
    return HONE_OK;
}

static bool ends_in_gguf(const char *name) {
    size_t n = strlen(name);
    return n > 5 && !strcasecmp(name + n - 5, ".gguf");
}

/* What is opened: the one file, the first part of several, or the folder of links. */
static hone_status model_path(create_task *t, fs_path *path) {
    const manifest_file *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < t->made.n_files; i++) {
        if (!is_model_file(&t->made.files[i])) continue;
        if (!first) first = &t->made.files[i];
        n++;
    }
    if (!first) return fail(HONE_ERR_ARGUMENT, "there is no model among the files");
    if (n == 1) return store_file_path(t->store, first, path);
    fs_path folder;
    TRY(link_files(t, &folder));
    return ends_in_gguf(first->name) ? fs_path_format(path, "%s/%s", folder.text, first->name)
                                     : fs_path_format(path, "%s", folder.text);
}

static bool tell_quantising(void *context, uint64_t done, uint64_t total) {
    create_task *t = context;
    char words[80];
    snprintf(words, sizeof words, "quantizing model to %s", quant_mix_name(t->mix));
    json_t *line = json_pack("{s:s, s:s, s:I, s:I}", "status", words, "digest", "0", "total",
                             (json_int_t)total, "completed", (json_int_t)done);
    return work_tell(t->work, line, done < total);
}

static hone_status quantise_model(create_task *t, const char *in) {
    fs_path out;
    quantise_result result = {.in_bytes = 0};
    gguf *file = NULL;
    const recode_options options = {.observe = tell_quantising, .context = t};
    TRY(fs_path_format(&out, "%s/quantised.gguf", t->scratch.folder.text));
    bool is_gguf = gguf_open(&file, in) == HONE_OK;
    gguf_close(file);
    TRY(is_gguf ? quantise_gguf(in, out.text, t->mix, &options, &result)
                : convert_folder(in, out.text, t->mix, &options, NULL));
    if (result.lossy_type) {
        char words[200];
        snprintf(words, sizeof words, "warning: the model was quantised already (%s); what that "
                 "lost is lost on top", result.lossy_type);
        TRY(tell(t, words));
    }
    size_t kept = 0;
    for (size_t i = 0; i < t->made.n_files; i++)
        if (!is_model_file(&t->made.files[i])) t->made.files[kept++] = t->made.files[i];
    memmove(&t->made.files[1], &t->made.files[0], kept * sizeof *t->made.files);
    t->made.n_files = kept + 1;
    manifest_file *f = &t->made.files[0];
    *f = (manifest_file){.role = "model", .name = "model.gguf"};
    TRY(tell(t, "creating new layer"));
    return store_add_file(t->store, out.text, f);
}

/* Whatever a stranger has uploaded: it must be a model that hone can open before it gets a name. */
static hone_status check_model(create_task *t) {
    fs_path path;
    hone_model *model;
    TRY(model_path(t, &path));
    TRY(tell(t, "parsing the model"));
    TRY(hone_model_open(&model, path.text, &(hone_model_options){.describe_only = true}));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < t->made.n_files && status == HONE_OK; i++) {
        hone_adapter *adapter;
        fs_path file;
        if (strcmp(t->made.files[i].role, "adapter") != 0) continue;
        status = store_file_path(t->store, &t->made.files[i], &file);
        if (status == HONE_OK) status = hone_adapter_open(&adapter, model, file.text);
        if (status == HONE_OK) hone_adapter_close(adapter);
    }
    hone_model_close(model);
    TRY(status);
    return t->mix ? quantise_model(t, path.text) : HONE_OK;
}

/* --- all of it --- */

static hone_status begin_manifest(create_task *t) {
    t->made.name = t->name;
    t->made.pulled = time(NULL);
    t->made.files = mem_calloc(MANIFEST_MAX_FILES + 1, sizeof *t->made.files);
    if (!t->made.files) return mem_fail("manifest", MANIFEST_MAX_FILES * sizeof *t->made.files);
    return HONE_OK;
}

static hone_status make_from(create_task *t, const char *from) {
    store_entry base;
    model_settings settings;
    TRY(tell(t, "reading model metadata"));
    TRY(store_find(t->store, from, &base));
    hone_status status = take_model(t, &base);
    if (status == HONE_OK) status = model_settings_load(&settings, t->store, &base);
    manifest_release(&base.manifest);
    TRY(status);
    status = take_blobs(t, "adapters", "adapter");
    if (status == HONE_OK) status = add_layers(t, settings.parameters);
    model_settings_release(&settings);
    return status;
}

static hone_status make_of_files(create_task *t) {
    snprintf(t->made.source, sizeof t->made.source, "uploaded");
    TRY(take_blobs(t, "files", "model"));
    TRY(take_blobs(t, "adapters", "adapter"));
    return add_layers(t, NULL);
}

/* Failures name files; where the store lies is nobody's business. */
static hone_status without_folder(const create_task *t, hone_status status) {
    const char *words = hone_error_message(), *folder = store_folder(t->store);
    size_t n = strlen(folder);
    return strncmp(words, folder, n) ? status : fail(status, "%s", words + n + 1);
}

static hone_status make_model(create_task *t) {
    const char *from = json_string_value(field_find(t->body, "from"));
    TRY(store_scratch_open(&t->scratch, t->store)); /* from now on nothing of it is pruned */
    TRY(begin_manifest(t));
    TRY(from && *from ? make_from(t, from) : make_of_files(t));
    TRY(check_model(t));
    TRY(tell(t, "writing manifest"));
    TRY(store_define(t->store, &t->made));
    models_unload(t->models, t->name.text);
    return HONE_OK;
}

static hone_status run_create(work *w, void *state) {
    create_task *t = state;
    t->work = w;
    hone_status status = make_model(t);
    return status == HONE_OK ? status : without_folder(t, status);
}

void ollama_create(const call *c) {
    const char *name;
    bool stream = true;
    create_task *t = mem_calloc(1, sizeof *t);
    hone_status status = t ? ollama_read_body(c, &t->body, &name) : mem_fail("request", sizeof *t);
    if (status != HONE_OK) {
        mem_free(t);
        reply_failure(c->x, status);
        return;
    }
    t->models = c->models;
    t->store = models_store(c->models);
    status = json_get_bool(t->body, "stream", &stream);
    if (status == HONE_OK) status = check(t, name);
    if (status == HONE_OK) {
        work_reply(c, stream, &(work_task){run_create, create_close, t});
        return;
    }
    reply_failure(c->x, status);
    create_close(t);
}
