#include "lab/task_places.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lab/task.h"
#include "weights/origin.h"
#include "weights/paths.h"

enum { MAX_PLACES = 16, MAX_TASKS = 512 };
#define MAX_MANIFEST_BYTES ((size_t)1 << 20)
#define MAX_FETCHED_BYTES ((uint64_t)256 << 20)

/* Folders in which manifests are looked for, first ones first. */
typedef struct places {
    fs_path folders[MAX_PLACES];
    size_t n;
} places;

static void add_place(places *p, const char *format, const char *text, size_t n) {
    if (p->n < MAX_PLACES && fs_path_format(&p->folders[p->n], format, (int)n, text) == HONE_OK)
        p->n++;
}

/* The user's own, then $HONE_TASKS or what lies beside the program: installed in share/, or in the
 * folder that it was built from. */
static void find_places(places *p) {
    fs_path data, program;
    const char *given = getenv("HONE_TASKS");
    p->n = 0;
    if (paths_folder(&data, PATHS_DATA) == HONE_OK)
        add_place(p, "%.*s/tasks", data.text, strlen(data.text));
    if (given && *given) {
        for (size_t n; *given; given += n + (given[n] == ':')) {
            n = strcspn(given, ":");
            if (n > 0) add_place(p, "%.*s", given, n);
        }
        return;
    }
    ssize_t n = readlink("/proc/self/exe", program.text, sizeof program.text - 1);
    if (n <= 0) return;
    program.text[n] = '\0';
    char *slash = strrchr(program.text, '/');
    if (!slash) return;
    add_place(p, "%.*s/../share/hone/tasks", program.text, (size_t)(slash - program.text));
    add_place(p, "%.*s/../tasks", program.text, (size_t)(slash - program.text));
    add_place(p, "%.*s/../../tasks", program.text, (size_t)(slash - program.text));
}

static bool is_path(const char *name) {
    size_t n = strlen(name);
    return strchr(name, '/') || (n > 5 && strcmp(name + n - 5, ".json") == 0);
}

hone_status task_places_find_manifest(fs_path *path, const char *name) {
    places p;
    if (is_path(name)) return fs_path_format(path, "%s", name);
    find_places(&p);
    for (size_t i = 0; i < p.n; i++) {
        TRY(fs_path_format(path, "%s/%s.json", p.folders[i].text, name));
        if (access(path->text, R_OK) == 0) return HONE_OK;
    }
    return fail(HONE_ERR_NOT_FOUND, "there is no task \"%s\"; `hone tasks` lists them", name);
}

/* --- items --- */

static hone_status kept_path(fs_path *path, const char *items) {
    fs_path data;
    TRY(paths_folder(&data, PATHS_DATA));
    return fs_path_format(path, "%s/tasks/%s", data.text, items);
}

static hone_status items_name(const json_t *m, const char **items) {
    const char *name = "";
    *items = NULL;
    TRY(json_get_string(m, "items", items));
    TRY(json_get_string(m, "task", &name));
    if (!*items)
        return fail(HONE_ERR_NOT_FOUND, "task %s has no items of its own: name a file with --items",
                    name);
    return strchr(*items, '/') ? fail(HONE_ERR_FORMAT, "\"items\" is the name of a file") : HONE_OK;
}

hone_status task_places_find_items(fs_path *path, const char *manifest_path, const json_t *m) {
    const char *items, *name = "", *slash = strrchr(manifest_path, '/');
    TRY(items_name(m, &items));
    TRY(json_get_string(m, "task", &name));
    TRY(fs_path_format(path, "%.*s%s", slash ? (int)(slash + 1 - manifest_path) : 0, manifest_path,
                       items));
    if (access(path->text, R_OK) == 0) return HONE_OK;
    if (kept_path(path, items) == HONE_OK && access(path->text, R_OK) == 0) return HONE_OK;
    return fail(HONE_ERR_NOT_FOUND,
                json_object_get(m, "source")
                    ? "the items of task %s are not here: `hone tasks --fetch %s` gets them, or "
                      "name a file with --items"
                    : "the items of task %s are not here: name a file with --items (%s)",
                name, json_object_get(m, "source") ? name : items);
}

/* --- which there are --- */

typedef struct task_listing {
    char *names[MAX_TASKS];
    size_t n;
} task_listing;

static hone_status list_manifest(void *context, const char *path, const char *file) {
    task_listing *list = context;
    size_t n = strlen(file);
    (void)path;
    if (n <= 5 || strcmp(file + n - 5, ".json") != 0) return HONE_OK;
    for (size_t i = 0; i < list->n; i++)
        if (strlen(list->names[i]) == n - 5 && memcmp(list->names[i], file, n - 5) == 0)
            return HONE_OK;
    if (list->n == MAX_TASKS) return fail(HONE_ERR_FORMAT, "more than %d tasks", MAX_TASKS);
    char *name = mem_copy_string(file, n - 5);
    if (!name) return mem_fail("task", n);
    list->names[list->n++] = name;
    return HONE_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static hone_status summarise(const char *name,
                             hone_status (*each)(void *context, const task_summary *summary),
                             void *context) {
    fs_path path, items;
    json_t *m;
    task_summary s = {.name = name, .kind = "", .description = "", .licence = "", .origin = ""};
    uint64_t n = 0;
    TRY(task_places_find_manifest(&path, name));
    TRY(json_parse_file(&m, path.text, MAX_MANIFEST_BYTES));
    hone_status status = json_get_string(m, "kind", &s.kind);
    if (status == HONE_OK) status = json_get_string(m, "description", &s.description);
    if (status == HONE_OK) status = json_get_string(m, "licence", &s.licence);
    if (status == HONE_OK) status = json_get_string(m, "origin", &s.origin);
    if (status == HONE_OK) status = json_get_u64(m, "n", &n);
    s.n_items = (size_t)n;
    s.has_source = json_object_get(m, "source") != NULL;
    s.is_here = task_places_find_items(&items, path.text, m) == HONE_OK;
    if (status == HONE_OK) status = each(context, &s);
    else fail_context(status, "%s", path.text);
    json_decref(m);
    return status;
}

hone_status task_each(hone_status (*each)(void *context, const task_summary *summary),
                      void *context) {
    places p;
    task_listing list = {.n = 0};
    hone_status status = HONE_OK;
    find_places(&p);
    for (size_t i = 0; i < p.n && status == HONE_OK; i++)
        status = fs_each(p.folders[i].text, list_manifest, &list);
    qsort(list.names, list.n, sizeof *list.names, by_text);
    for (size_t i = 0; i < list.n && status == HONE_OK; i++)
        status = summarise(list.names[i], each, context);
    while (list.n > 0) mem_free(list.names[--list.n]);
    return status;
}

/* --- fetching --- */

typedef struct fetching {
    bool (*observe)(void *context, uint64_t done, uint64_t total);
    void *context;
} fetching;

static bool on_event(void *context, const pull_event *event) {
    const fetching *f = context;
    return !f->observe || f->observe(f->context, event->bytes, event->total);
}

static hone_status fetch_to(const char *path, const char *source, const char *sha256,
                            fetching *f) {
    origin from;
    fs_path folder, part, wheels;
    sha256_hex found;
    TRY(origin_parse(&from, source));
    TRY(fs_path_format(&folder, "%s.part", path));
    TRY(fs_path_format(&part, "%s/items", folder.text));
    TRY(fs_path_format(&wheels, "%s/wheels", folder.text));
    TRY(fs_make_folders(folder.text));
    const origin_job job = {.origin = &from, .folder = folder.text, .wheels = wheels.text,
                            .expected_bytes = 0, .contents_are_checked = true,
                            .observe = on_event, .context = f};
    TRY(origin_fetch(&job, part.text, &found));
    if (strcmp(found.text, sha256) != 0) {
        fs_remove_tree(folder.text);
        return fail(HONE_ERR_FORMAT, "%s: the file is another one than was expected (SHA-256 %s)",
                    source, found.text);
    }
    if (rename(part.text, path) != 0) return fail(HONE_ERR_IO, "%s: cannot be put there", path);
    return fs_remove_tree(folder.text);
}

static hone_status fetch_items(const json_t *m, fetching *f) {
    const char *items, *source = NULL, *sha256 = "";
    fs_path path;
    TRY(items_name(m, &items));
    TRY(json_get_string(m, "source", &source));
    TRY(json_get_string(m, "sha256", &sha256));
    if (!source || !sha256_is_hex(sha256))
        return fail(HONE_ERR_UNSUPPORTED,
                    "its manifest names no source; get the items yourself and "
                    "name the file with --items");
    TRY(kept_path(&path, items));
    return access(path.text, R_OK) == 0 ? HONE_OK : fetch_to(path.text, source, sha256, f);
}

hone_status task_fetch(const char *name,
                       bool (*observe)(void *context, uint64_t done, uint64_t total),
                       void *context) {
    fs_path path;
    json_t *m;
    fetching f = {observe, context};
    TRY(task_places_find_manifest(&path, name));
    TRY(json_parse_file(&m, path.text, MAX_MANIFEST_BYTES));
    hone_status status = fetch_items(m, &f);
    json_decref(m);
    return status == HONE_OK ? status : fail_context(status, "%s", name);
}
