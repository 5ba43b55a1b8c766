#include "lab/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "lab/task_members.h"
#include "lab/task_places.h"

enum { DEFAULT_MAX_TOKENS = 256, MOST_TOKENS = 1 << 20, UNPACKED_AT_ONCE = 1 << 16 };
#define MAX_MANIFEST_BYTES ((size_t)1 << 20)
#define MAX_ITEMS_BYTES ((size_t)256 << 20)

static const char *const kinds[] = {"choice", "cloze",   "number",      "exact",   "ifeval", "code",
                                    "crux",   "translation", "summary", "speech", "open",   NULL};
static const char *const cuts[] = {"none",          "line",         "brace_line",
                                   "closing_brace", "closing_call", NULL};

const char *task_kind_name(task_kind kind) { return kinds[kind]; }

/* --- items --- */

/* Every item goes by its `id`; some sets call it `task_id` or `key`, some have none. */
static void set_id(json_t *item, size_t index) {
    static const char *const names[] = {"id", "task_id", "key"};
    char text[32];
    json_t *given = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !given; i++)
        given = json_object_get(item, names[i]);
    if (json_is_string(given)) {
        json_object_set(item, "id", given);
        return;
    }
    long long number = json_is_integer(given) ? json_integer_value(given) : (long long)index;
    snprintf(text, sizeof text, "%lld", number);
    json_object_set_new(item, "id", json_string(text));
}

/* Where the items of a file go, and what its members are called here (lab/task_members.h). */
typedef struct item_list {
    json_t *items;
    const json_t *members;
    const char *path;
} item_list;

/* Takes the item over. */
static hone_status keep_item(const item_list *to, json_t *item) {
    json_t *items = to->items;
    const char *path = to->path;
    size_t index = json_array_size(items);
    bool fits = json_is_object(item) && index < TASK_MAX_ITEMS;
    hone_status status = fits ? task_members_take(item, to->members) : HONE_OK;
    if (fits) set_id(item, index);
    json_array_append_new(items, item);
    if (fits) return status;
    return index < TASK_MAX_ITEMS
               ? fail(HONE_ERR_FORMAT, "%s: item %zu is no object", path, index + 1)
               : fail(HONE_ERR_FORMAT, "%s: more than %d items", path, TASK_MAX_ITEMS);
}

static hone_status parse_lines(const item_list *to, const char *text, size_t n) {
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end ? (size_t)(end - text) - at : n - at;
        if (strspn(text + at, " \t\r") < length) {
            json_t *item;
            char name[4400];
            snprintf(name, sizeof name, "%s: item %zu", to->path, json_array_size(to->items) + 1);
            TRY(json_parse(&item, text + at, length, name));
            TRY(keep_item(to, item));
        }
        at += length + 1;
    }
    return HONE_OK;
}

static hone_status parse_array(const item_list *to, const char *text, size_t n) {
    json_t *array, *item;
    size_t i;
    hone_status status = HONE_OK;
    TRY(json_parse(&array, text, n, to->path));
    json_array_foreach(array, i, item) {
        if (status == HONE_OK) status = keep_item(to, json_incref(item));
    }
    json_decref(array);
    return status;
}

/* A line each, or all in one array. */
static hone_status parse_items(const item_list *to, const char *text, size_t n) {
    bool is_array = text[strspn(text, " \t\r\n")] == '[';
    json_build_begin();
    TRY(is_array ? parse_array(to, text, n) : parse_lines(to, text, n));
    return json_build_end("items");
}

/* Appends the file, unpacked where it is packed by gzip: some sets are handed out so. */
static hone_status read_text(buf *text, const char *path) {
    TRY(fs_read_file(text, path));
    if (text->len < 2 || memcmp(text->data, "\x1f\x8b", 2) != 0) return HONE_OK;
    gzFile packed = gzopen(path, "rb");
    hone_status status = packed ? HONE_OK : fail(HONE_ERR_IO, "%s: cannot be opened", path);
    int n = 1;
    for (text->len = 0; status == HONE_OK && n > 0; text->len += n > 0 ? (size_t)n : 0) {
        status = buf_reserve(text, UNPACKED_AT_ONCE);
        if (status == HONE_OK) n = gzread(packed, text->data + text->len, UNPACKED_AT_ONCE);
    }
    if (packed) gzclose(packed);
    if (status == HONE_OK && n < 0) status = fail(HONE_ERR_FORMAT, "%s: the file is damaged", path);
    if (status == HONE_OK) text->data[text->len] = '\0';
    return status;
}

static hone_status read_items(json_t **out, const char *path, const json_t *members,
                              sha256_hex *sha256) {
    buf text;
    buf_init(&text, MAX_ITEMS_BYTES);
    json_use_mem();
    json_t *items = json_array();
    hone_status status = items ? read_text(&text, path) : mem_fail("items", 0);
    if (status == HONE_OK) status = sha256_of_file(sha256, path, NULL, NULL);
    if (status == HONE_OK) {
        const item_list to = {.items = items, .members = members, .path = path};
        status = parse_items(&to, text.data ? text.data : "", text.len);
    }
    if (status == HONE_OK && json_array_size(items) == 0)
        status = fail(HONE_ERR_FORMAT, "%s holds no items", path);
    buf_release(&text);
    if (status == HONE_OK) *out = items;
    else json_decref(items);
    return status;
}

/* --- the manifest --- */

static hone_status read_name(const json_t *m, const char *key, const char *const *names,
                             int *index) {
    const char *text = NULL;
    TRY(json_get_string(m, key, &text));
    if (!text) return HONE_OK;
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) != 0) continue;
        *index = i;
        return HONE_OK;
    }
    return fail(HONE_ERR_FORMAT, "\"%s\": \"%s\" is not known", key, text);
}

static hone_status read_stops(task *t) {
    const json_t *list = json_object_get(t->manifest, "stop");
    size_t i;
    json_t *stop;
    json_array_foreach(list, i, stop) {
        if (t->n_stop == TASK_MAX_STOPS || !json_is_string(stop) || json_string_length(stop) == 0)
            return fail(HONE_ERR_FORMAT, "\"stop\" is an array of at most %d texts",
                        TASK_MAX_STOPS);
        t->stop[t->n_stop++] = json_string_value(stop);
    }
    return HONE_OK;
}

static hone_status read_shots(task *t) {
    const json_t *s = json_object_get(t->manifest, "shots");
    const char *items = NULL;
    uint64_t n = 0;
    sha256_hex unused;
    fs_path path;
    t->shots.head = t->shots.form = "";
    if (!s) return HONE_OK;
    TRY(json_get_string(s, "items", &items));
    TRY(json_get_string(s, "head", &t->shots.head));
    TRY(json_get_string(s, "form", &t->shots.form));
    TRY(json_get_string(s, "match", &t->shots.match));
    TRY(json_get_u64(s, "n", &n));
    if (n > 64) return fail(HONE_ERR_FORMAT, "%llu shots, at most 64", (unsigned long long)n);
    t->shots.n = (size_t)n;
    if (!items) return n == 0 ? HONE_OK : fail(HONE_ERR_FORMAT, "\"shots\" name no items");
    TRY(fs_path_format(&path, "%s/%s", t->folder.text, items));
    return read_items(&t->shots.items, path.text, NULL, &unused);
}

static hone_status read_manifest(task *t) {
    const json_t *m = t->manifest;
    int kind = -1, cut = TASK_CUT_NONE;
    uint64_t max_tokens = DEFAULT_MAX_TOKENS;
    const struct {
        const char *key;
        const char **value;
    } texts[] = {{"task", &t->name}, {"description", &t->description}, {"licence", &t->licence},
                 {"origin", &t->origin}, {"prompt", &t->prompt}, {"chat_prompt", &t->chat_prompt},
                 {"system", &t->system}, {"continuation", &t->continuation},
                 {"answer_prompt", &t->answer_prompt},
                 {"prompt_input", &t->prompt_input}, {"program", &t->program},
                 {"language", &t->language}, {"defines", &t->defines}, {"group", &t->group},
                 {"check", &t->check}};
    t->description = t->licence = t->origin = "";
    t->continuation = " {choice|strip}";
    t->answer_prompt =
        "{question|strip}\n\n{options}\nAnswer with the letter of the right choice only.";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        TRY(json_get_string(m, texts[i].key, texts[i].value));
    TRY(read_name(m, "kind", kinds, &kind));
    TRY(read_name(m, "completion", cuts, &cut));
    TRY(json_get_bool(m, "chat", &t->chat));
    TRY(json_get_u64(m, "max_tokens", &max_tokens));
    TRY(read_stops(t));
    if (!t->name || kind < 0) return fail(HONE_ERR_FORMAT, "\"task\" or \"kind\" is missing");
    if (max_tokens == 0 || max_tokens > MOST_TOKENS)
        return fail(HONE_ERR_FORMAT, "\"max_tokens\" is not 1 to %d", MOST_TOKENS);
    t->kind = (task_kind)kind;
    t->cut = (task_cut)cut;
    t->max_tokens = (size_t)max_tokens;
    if (!t->prompt && t->kind != TASK_SPEECH) return fail(HONE_ERR_FORMAT, "\"prompt\" is missing");
    if (!t->chat_prompt) t->chat_prompt = t->prompt;
    if (t->kind == TASK_CODE && (!t->program || !t->language))
        return fail(HONE_ERR_FORMAT, "\"program\" or \"language\" is missing");
    if (t->kind == TASK_CRUX && !t->prompt_input)
        return fail(HONE_ERR_FORMAT, "\"prompt_input\" is missing");
    return HONE_OK;
}

/* The path without its last part. */
static hone_status folder_of(fs_path *folder, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return fs_path_format(folder, ".");
    return fs_path_format(folder, "%.*s", (int)(slash - path), path);
}

static hone_status open_items(task *t, const char *manifest_path, const char *items_path) {
    fs_path path;
    if (items_path) TRY(fs_path_format(&path, "%s", items_path));
    else TRY(task_places_find_items(&path, manifest_path, t->manifest));
    TRY(folder_of(&t->folder, path.text));
    TRY(read_items(&t->items, path.text, json_object_get(t->manifest, "members"),
                   &t->items_sha256));
    t->n_items = json_array_size(t->items);
    return HONE_OK;
}

static hone_status open_task(task *t, const char *name, const char *items_path) {
    fs_path path;
    TRY(task_places_find_manifest(&path, name));
    TRY(json_parse_file(&t->manifest, path.text, MAX_MANIFEST_BYTES));
    TRY(sha256_of_file(&t->template_sha256, path.text, NULL, NULL));
    hone_status status = read_manifest(t);
    if (status != HONE_OK) return fail_context(status, "%s", path.text);
    TRY(open_items(t, path.text, items_path));
    status = read_shots(t);
    return status == HONE_OK ? status : fail_context(status, "%s", path.text);
}

hone_status task_open(task **out, const char *name, const char *items_path) {
    task *t = mem_calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return mem_fail("task", sizeof *t);
    hone_status status = open_task(t, name, items_path);
    if (status != HONE_OK) task_close(t);
    else *out = t;
    return status;
}

void task_close(task *t) {
    if (!t) return;
    json_decref(t->shots.items);
    json_decref(t->items);
    json_decref(t->manifest);
    mem_free(t);
}

static const char *item_text(const task *t, size_t index, const char *key) {
    return json_string_value(json_object_get(json_array_get(t->items, index), key));
}

const char *task_item_id(const task *t, size_t index) { return item_text(t, index, "id"); }

const char *task_item_group(const task *t, size_t index) {
    return t->group ? item_text(t, index, t->group) : NULL;
}
