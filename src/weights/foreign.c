#include "weights/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "weights/origin_hub.h"
#include "weights/origin_int.h"
#include "weights/origin_ollama.h"
#include "weights/store_int.h"

enum { MAX_DEPTH = 8 };

/* --- places --- */

/* `variable` with `below_variable`, or ~/`below_home`; false where there is neither. */
static bool find_place(fs_path *path, const char *variable, const char *below_variable,
                       const char *below_home) {
    const char *value = variable ? getenv(variable) : NULL, *home = getenv("HOME");
    if (value && *value)
        return fs_path_format(path, "%s%s", value, below_variable) == HONE_OK;
    return below_home && home && *home &&
           fs_path_format(path, "%s/%s", home, below_home) == HONE_OK;
}

static bool find_hub_cache(fs_path *path) {
    return find_place(path, "HF_HUB_CACHE", "", NULL) ||
           find_place(path, "HF_HOME", "/hub", NULL) ||
           find_place(path, "XDG_CACHE_HOME", "/huggingface/hub", ".cache/huggingface/hub");
}

/* The nth place where Ollama may keep models. */
static bool find_ollama(fs_path *path, size_t nth) {
    const char *value = getenv("OLLAMA_MODELS");
    if (nth == 0) return find_place(path, "OLLAMA_MODELS", "", ".ollama/models");
    return nth == 1 && !(value && *value) &&
           fs_path_format(path, "/usr/share/ollama/.ollama/models") == HONE_OK;
}

static bool find_lm_studio(fs_path *path, size_t nth) {
    static const char *const below[] = {".lmstudio/models", ".cache/lm-studio/models"};
    return nth < 2 && find_place(path, NULL, "", below[nth]);
}

static bool has_file(const char *path, uint64_t *bytes) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *bytes = (uint64_t)st.st_size;
    return true;
}

/* --- entries --- */

/* Where a search stands: what it fills, and what it knows of the folders above. */
typedef struct search {
    store_listing *listing;
    const char *keeper;
    const char *root;              /* the keeper's folder */
    const char *place, *repository; /* of the name: "hf.co/", "OWNER/REPOSITORY" */
    store_entry *entry;             /* being filled */
    size_t depth;
} search;

static hone_status add_entry(search *c, const model_name *name, const char *path) {
    struct stat st;
    c->entry = store_listing_add(c->listing);
    if (!c->entry) return HONE_ERR_MEMORY;
    c->entry->keeper = c->keeper;
    c->entry->manifest.name = *name;
    if (stat(path, &st) == 0) c->entry->modified = st.st_mtime;
    return fs_path_format(&c->entry->path, "%s", path);
}

static hone_status add_file(search *c, const char *role, const char *path, const char *sha256) {
    manifest *m = &c->entry->manifest;
    const char *name = strrchr(path, '/') + 1;
    uint64_t bytes;
    if (m->n_files == MANIFEST_MAX_FILES || !has_file(path, &bytes)) return HONE_OK;
    if (strlen(path) >= sizeof m->files->path || strlen(name) >= sizeof m->files->name)
        return HONE_OK;
    manifest_file *longer = mem_realloc(m->files, m->n_files + 1, sizeof *longer);
    if (!longer) return mem_fail("list of files", (m->n_files + 1) * sizeof *longer);
    m->files = longer;
    manifest_file *file = &longer[m->n_files++];
    *file = (manifest_file){.bytes = bytes};
    snprintf(file->role, sizeof file->role, "%s", role);
    strcpy(file->name, name);
    strcpy(file->path, path);
    if (sha256_is_hex(sha256)) strcpy(file->sha256.text, sha256);
    c->entry->bytes += bytes;
    return HONE_OK;
}

/* huggingface_hub links to blobs, which are named by their hash where that is a SHA-256. */
static void hash_of_link(const char *path, char sha256[65]) {
    char target[4096];
    ssize_t n = readlink(path, target, sizeof target - 1);
    sha256[0] = 0;
    if (n <= 0) return;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    const char *name = slash ? slash + 1 : target;
    if (sha256_is_hex(name)) strcpy(sha256, name);
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcasecmp(text + n - m, end) == 0;
}

/* A GGUF file, with its other parts where it is the first one of a split one. */
static hone_status add_gguf(search *c, const char *path, const model_name *name) {
    fs_path part;
    uint64_t bytes;
    size_t n = origin_count_split(path);
    TRY(fs_path_format(&part, "%s", path));
    for (size_t nth = 1; nth <= n; nth++) {
        if (n > 1) origin_set_split(part.text, nth);
        if (!has_file(part.text, &bytes)) return HONE_OK; /* incomplete */
    }
    TRY(add_entry(c, name, path));
    for (size_t nth = 1; nth <= n; nth++) {
        char sha256[65];
        if (n > 1) origin_set_split(part.text, nth);
        hash_of_link(part.text, sha256);
        TRY(add_file(c, "model", part.text, sha256));
    }
    return HONE_OK;
}

static bool is_first_gguf(const char *name) {
    return ends_in(name, ".gguf") && !strcasestr(name, "mmproj") &&
           (origin_count_split(name) == 1 || strstr(name, "-00001-of-"));
}

/* GGUF files in the folder of a repository and the folders below. */
static hone_status add_repository_file(void *context, const char *path, const char *name) {
    search *c = context;
    struct stat st;
    model_name model;
    if (stat(path, &st) != 0) return HONE_OK;
    if (S_ISDIR(st.st_mode) && c->depth < 2) {
        c->depth++;
        hone_status status = fs_each(path, add_repository_file, c);
        c->depth--;
        return status == HONE_ERR_MEMORY ? status : HONE_OK;
    }
    if (!S_ISREG(st.st_mode) || !is_first_gguf(name) ||
        origin_repository_name(c->place, c->repository, name, &model) != HONE_OK)
        return HONE_OK;
    return add_gguf(c, path, &model);
}

/* --- huggingface_hub: models--OWNER--REPOSITORY/snapshots/COMMIT/… --- */

static hone_status note_newest(void *context, const char *path, const char *name) {
    fs_path *newest = context;
    struct stat st, best;
    (void)name;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return HONE_OK;
    if (stat(newest->text, &best) == 0 && best.st_mtime >= st.st_mtime) return HONE_OK;
    return fs_path_format(newest, "%s", path);
}

/* The commit that the branch "main" stood for, else the last one that came. */
static bool find_snapshot(const char *folder, fs_path *snapshot) {
    fs_path path;
    buf commit;
    snapshot->text[0] = 0;
    if (fs_path_format(&path, "%s/refs/main", folder) != HONE_OK) return false;
    buf_init(&commit, 200);
    if (fs_read_file(&commit, path.text) == HONE_OK && commit.len > 0) {
        size_t n = strspn(commit.data, "0123456789abcdef");
        fs_path_format(snapshot, "%s/snapshots/%.*s", folder, (int)n, commit.data);
    }
    buf_release(&commit);
    struct stat st;
    if (snapshot->text[0] && stat(snapshot->text, &st) == 0) return true;
    snapshot->text[0] = 0;
    return fs_path_format(&path, "%s/snapshots", folder) == HONE_OK &&
           fs_each(path.text, note_newest, snapshot) == HONE_OK && snapshot->text[0];
}

static hone_status add_snapshot_file(void *context, const char *path, const char *name) {
    char sha256[65];
    if (!origin_is_folder_file(name)) return HONE_OK;
    hash_of_link(path, sha256);
    return add_file(context, "model", path, sha256);
}

/* The snapshot as a model folder: configuration and weights in forms that hone reads. */
static hone_status add_snapshot(search *c, const char *snapshot) {
    fs_path config;
    uint64_t bytes;
    model_name name;
    TRY(fs_path_format(&config, "%s/config.json", snapshot));
    if (!has_file(config.text, &bytes) ||
        origin_repository_name(c->place, c->repository, "", &name) != HONE_OK)
        return HONE_OK;
    TRY(add_entry(c, &name, snapshot));
    TRY(fs_each(snapshot, add_snapshot_file, c));
    const manifest *m = &c->entry->manifest;
    for (size_t i = 0; i < m->n_files; i++)
        if (ends_in(m->files[i].name, ".safetensors") || strcmp(m->files[i].name, "model.bin") == 0)
            return HONE_OK;
    store_listing_drop(c->listing);
    return HONE_OK;
}

static hone_status add_cached_repository(void *context, const char *path, const char *name) {
    search *c = context;
    char repository[256];
    fs_path snapshot;
    if (strncmp(name, "models--", 8) != 0 || strlen(name) >= sizeof repository) return HONE_OK;
    strcpy(repository, name + 8);
    char *dashes = strstr(repository, "--");
    if (!dashes || !find_snapshot(path, &snapshot)) return HONE_OK;
    *dashes = '/';
    memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    c->repository = repository;
    TRY(fs_each(snapshot.text, add_repository_file, c));
    return add_snapshot(c, snapshot.text);
}

/* --- Ollama: manifests/HOST/REPOSITORY/TAG, blobs/sha256-… --- */

static hone_status find_ollama_blob(const char *root, const char *sha256, fs_path *path) {
    uint64_t bytes;
    TRY(fs_path_format(path, "%s/blobs/sha256-%s", root, sha256));
    if (has_file(path->text, &bytes)) return HONE_OK;
    return fs_path_format(path, "%s/blobs/sha256:%s", root, sha256); /* as older versions wrote */
}

static hone_status add_ollama_layers(search *c, const ollama_manifest *m, const model_name *name) {
    fs_path blob;
    uint64_t bytes;
    TRY(find_ollama_blob(c->root, m->layers[0].sha256, &blob));
    if (!has_file(blob.text, &bytes) || bytes != m->layers[0].bytes) return HONE_OK;
    TRY(add_entry(c, name, blob.text));
    for (size_t i = 0; i < m->n; i++) {
        TRY(find_ollama_blob(c->root, m->layers[i].sha256, &blob));
        TRY(add_file(c, m->layers[i].role, blob.text, m->layers[i].sha256));
    }
    return HONE_OK;
}

/* One manifest; `path` is <root>/manifests/HOST/REPOSITORY/TAG. */
static hone_status add_ollama_model(search *c, const char *path) {
    char place[512];
    model_name name;
    ollama_manifest m;
    buf text;
    const char *below = path + strlen(c->root) + strlen("/manifests/");
    if (snprintf(place, sizeof place, "%s", below) >= (int)sizeof place) return HONE_OK;
    char *repository = strchr(place, '/'), *tag = strrchr(place, '/');
    if (!repository || tag == repository) return HONE_OK;
    *repository++ = 0, *tag++ = 0;
    if (ollama_model_name(place, repository, tag, &name) != HONE_OK) return HONE_OK;
    buf_init(&text, OLLAMA_MAX_MANIFEST_BYTES);
    hone_status status = fs_read_file(&text, path);
    if (status == HONE_OK)
        status = ollama_manifest_parse(&m, text.data ? text.data : "", text.len, path);
    buf_release(&text);
    if (status != HONE_OK) return status == HONE_ERR_MEMORY ? status : HONE_OK;
    return add_ollama_layers(c, &m, &name);
}

static hone_status add_ollama_manifests(void *context, const char *path, const char *name) {
    search *c = context;
    struct stat st;
    (void)name;
    if (stat(path, &st) != 0) return HONE_OK;
    if (S_ISREG(st.st_mode)) return add_ollama_model(c, path);
    if (!S_ISDIR(st.st_mode) || c->depth == MAX_DEPTH) return HONE_OK;
    c->depth++;
    hone_status status = fs_each(path, add_ollama_manifests, c);
    c->depth--;
    return status == HONE_ERR_MEMORY ? status : HONE_OK;
}

/* --- LM Studio: PUBLISHER/REPOSITORY/FILE --- */

static hone_status add_lm_studio_folder(void *context, const char *path, const char *name) {
    search *c = context, deeper = *c;
    char repository[512];
    if (c->depth == 0) { /* the publisher */
        deeper.repository = name;
        deeper.depth = 1;
        hone_status status = fs_each(path, add_lm_studio_folder, &deeper);
        return status == HONE_ERR_MEMORY ? status : HONE_OK;
    }
    if (snprintf(repository, sizeof repository, "%s/%s", c->repository, name) >=
        (int)sizeof repository)
        return HONE_OK;
    deeper.repository = repository;
    return fs_each(path, add_repository_file, &deeper);
}

/* --- all of them --- */

/* Others' folders may be closed to us; a lack of memory is ours. */
static hone_status go_through(const char *folder,
                              hone_status (*each)(void *context, const char *path,
                                                  const char *name),
                              search *c) {
    hone_status status = fs_each(folder, each, c);
    return status == HONE_ERR_MEMORY ? status : HONE_OK;
}

hone_status foreign_list(store_listing *listing) {
    fs_path place, manifests;
    search hub = {.listing = listing, .keeper = "huggingface_hub", .place = ORIGIN_HUB_NAME};
    if (find_hub_cache(&place)) TRY(go_through(place.text, add_cached_repository, &hub));
    for (size_t i = 0; i < 2; i++) {
        search ollama = {.listing = listing, .keeper = "ollama", .root = place.text};
        if (find_ollama(&place, i) &&
            fs_path_format(&manifests, "%s/manifests", place.text) == HONE_OK)
            TRY(go_through(manifests.text, add_ollama_manifests, &ollama));
    }
    for (size_t i = 0; i < 2; i++) {
        search studio = {.listing = listing, .keeper = "lm-studio", .place = "lmstudio/"};
        if (find_lm_studio(&place, i)) TRY(go_through(place.text, add_lm_studio_folder, &studio));
    }
    return HONE_OK;
}

/* --- blobs --- */

typedef struct blob_search {
    const char *sha256;
    uint64_t bytes;
    fs_path *path;
    bool found;
} blob_search;

static hone_status look_in_repository(void *context, const char *path, const char *name) {
    blob_search *b = context;
    fs_path blob;
    uint64_t bytes;
    if (b->found || strncmp(name, "models--", 8) != 0) return HONE_OK;
    TRY(fs_path_format(&blob, "%s/blobs/%s", path, b->sha256));
    if (!has_file(blob.text, &bytes) || bytes != b->bytes) return HONE_OK;
    *b->path = blob;
    b->found = true;
    return HONE_OK;
}

bool foreign_find_blob(const char *sha256, uint64_t bytes, fs_path *path) {
    fs_path place;
    uint64_t there;
    for (size_t i = 0; i < 2; i++)
        if (find_ollama(&place, i) && find_ollama_blob(place.text, sha256, path) == HONE_OK &&
            has_file(path->text, &there) && there == bytes)
            return true;
    blob_search b = {.sha256 = sha256, .bytes = bytes, .path = path};
    return find_hub_cache(&place) && fs_each(place.text, look_in_repository, &b) == HONE_OK &&
           b.found;
}
