/* store_pull: from a name or source to files in the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "weights/foreign.h"
#include "weights/store_int.h"

/* What is wanted, wherever it is described: files to fetch, and lists to ask for. */
typedef struct wish {
    model_name name;
    const char *license; /* "" where not known */
    const catalogue_file *files;
    size_t n_files;
    catalogue_file single; /* made of the source that a person typed */
    origin typed;
} wish;

/* One file under way. */
typedef struct wanted {
    const char *role, *name, *sha256; /* sha256 NULL = not known */
    uint64_t bytes;                   /* 0 = not known */
    const char *const *sources;       /* NULL ends */
} wanted;

typedef struct pull {
    const store *store;
    const store_pull_options *options;
    const wish *wish;
    fs_path key;    /* partial/<key of the name>: .lock, .wheels */
    fs_path wheels;
    fs_path folder; /* partial/<key of the file> */
    manifest manifest; /* what has come so far; room for MANIFEST_MAX_FILES */
    wanted_list listed;
    const wanted *file;
    size_t nth, n_files;
    const catalogue_file *described; /* what is fetched, while a source is asked for it */
    size_t first_source; /* that worked for the last file */
} pull;

static hone_status tell(void *context, pull_event event) {
    const pull *p = context;
    if (p->file) event.file = p->file->name;
    event.nth = p->nth;
    event.n_files = p->n_files;
    bool go_on = !p->options->observe || p->options->observe(p->options->context, &event);
    return go_on ? HONE_OK : fail(HONE_ERR_CANCELLED, "cancelled");
}

static bool on_event(void *context, const pull_event *event) {
    return tell(context, *event) == HONE_OK;
}

/* --- what is wanted --- */

static bool is_path(const char *text) {
    struct stat st;
    size_t n = strlen(text);
    bool looks_so = text[0] == '/' || text[0] == '~' || text[0] == '.';
    bool is_gguf = n > 5 && strcasecmp(text + n - 5, ".gguf") == 0;
    return looks_so || ((is_gguf || strchr(text, '/')) && stat(text, &st) == 0);
}

static hone_status parse_typed(wish *w, const char *what) {
    fs_path here;
    if (origin_is_meant(what)) return origin_parse(&w->typed, what);
    if (!is_path(what))
        return fail(HONE_ERR_NOT_FOUND,
                    "%s: not a model that hone knows by name; give its source "
                    "(hf.co/OWNER/REPOSITORY:QUANT, ollama.com/library/NAME, https://…, a path, "
                    "pip:PACKAGE==VERSION#PATH)", what);
    bool is_rooted = what[0] == '/' || what[0] == '~' || what[0] == '.';
    TRY(fs_path_format(&here, "%s%s", is_rooted ? "" : "./", what));
    return origin_parse(&w->typed, here.text);
}

static hone_status understand(const store *s, wish *w, const char *what, const char *name) {
    *w = (wish){.license = ""};
    const catalogue_entry *known = catalogue_find(s->catalogue, what);
    if (known) {
        w->license = known->license;
        w->files = known->files;
        w->n_files = known->n_files;
        return store_full_name(s, &w->name, name ? name : known->name);
    }
    TRY(parse_typed(w, what));
    w->single.sources[0] = w->typed.text;
    w->files = &w->single;
    w->n_files = 1;
    return name ? model_name_parse(&w->name, name) : origin_model_name(&w->typed, &w->name);
}

/* What a manifest remembers of a source: of a URL no query, which may hold keys. */
static void remember_source(char *out, size_t size, const char *text) {
    int n = strstr(text, "://") ? (int)strcspn(text, "?#") : (int)strlen(text);
    snprintf(out, size, "%.*s", n, text);
}

/* --- is it there already? --- */

/* Whether two texts mean the same source: a file of the hub can be told by quantisation or name. */
static bool is_same_source(const char *a, const char *b) {
    origin first, second;
    model_name one, two;
    if (strcmp(a, b) == 0) return true;
    return origin_is_meant(a) && origin_is_meant(b) && origin_parse(&first, a) == HONE_OK &&
           origin_parse(&second, b) == HONE_OK && first.kind == ORIGIN_HUB &&
           second.kind == ORIGIN_HUB && strcmp(first.hub.revision, second.hub.revision) == 0 &&
           origin_model_name(&first, &one) == HONE_OK &&
           origin_model_name(&second, &two) == HONE_OK && strcmp(one.text, two.text) == 0;
}

static bool is_same(const wish *w, const manifest *m) {
    char wanted_source[sizeof m->source];
    if (m->n_files == 0) return true; /* unreadable: it is replaced */
    if (w->files[0].sha256) return strcmp(m->files[0].sha256.text, w->files[0].sha256) == 0;
    for (const char *const *text = w->files[0].sources; *text; text++) {
        remember_source(wanted_source, sizeof wanted_source, *text);
        if (is_same_source(m->source, wanted_source)) return true;
    }
    return false;
}

/* Fills *entry when the wish is fulfilled. A name that stands for something else is refused. */
static hone_status look_in_store(const pull *p, store_entry *entry, bool *there) {
    const wish *w = p->wish;
    fs_path path;
    store_entry found;
    *there = false;
    TRY(store_manifest_path(p->store, &w->name, &path));
    if (access(path.text, F_OK) != 0) return HONE_OK;
    TRY(store_read_entry(p->store, path.text, &w->name, &found));
    bool same = is_same(w, &found.manifest);
    if (same && !found.problem[0]) {
        *entry = found;
        *there = true;
        return HONE_OK;
    }
    hone_status status = HONE_OK;
    if (!same)
        status = fail(HONE_ERR_ARGUMENT, "%s: the store has another model of that name, from %s; "
                      "choose a name with --name", w->name.text, found.manifest.source);
    manifest_release(&found.manifest);
    return status;
}

/* What another program keeps is as good, unless a certain revision or an own name is asked for. */
static bool look_elsewhere(const pull *p, const char *what, store_entry *entry) {
    return !p->options->name && !p->wish->typed.hub.revision[0] &&
           p->wish->typed.kind != ORIGIN_PATH &&
           store_find_foreign(p->store, what, entry) == HONE_OK;
}

/* --- one source of one file --- */

static hone_status check_kind(const char *name, const char *path) {
    unsigned char start[9] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, start, sizeof start);
    if (fd >= 0) close(fd);
    const char *dot = strrchr(name, '.'), *ending = dot ? dot : "";
    const char *kind = "GGUF";
    bool fine;
    if (strcasecmp(ending, ".safetensors") == 0) {
        kind = "safetensors";
        fine = n == 9 && start[8] == '{';
    } else if (strcasecmp(ending, ".json") == 0) {
        kind = "JSON";
        fine = n > 0 && (start[0] == '{' || start[0] == '[');
    } else if (strcasecmp(ending, ".txt") == 0 || strcasecmp(ending, ".jinja") == 0 ||
               strcasecmp(ending, ".model") == 0 || strcasecmp(ending, ".bin") == 0) {
        return HONE_OK;
    } else {
        fine = n >= 4 && memcmp(start, "GGUF", 4) == 0;
    }
    return fine ? HONE_OK
                : fail(HONE_ERR_FORMAT, "what came is not a %s file: thrown away", kind);
}

/* A known hash says it all. Of a file that nobody vouches for, at least the kind must be right. */
static hone_status check_contents(const wanted *file, const char *path, const sha256_hex *sha256) {
    struct stat st;
    if (stat(path, &st) != 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    if (file->bytes && (uint64_t)st.st_size != file->bytes)
        return fail(HONE_ERR_FORMAT, "%lld bytes came, expected %llu: thrown away",
                    (long long)st.st_size, (unsigned long long)file->bytes);
    if (file->sha256 && strcmp(file->sha256, sha256->text) != 0)
        return fail(HONE_ERR_FORMAT, "the file came damaged and was thrown away: its SHA-256 is "
                    "%.12s…, expected %.12s…", sha256->text, file->sha256);
    return file->sha256 ? HONE_OK : check_kind(file->name, path);
}

static hone_status note_file(pull *p, const sha256_hex *sha256, uint64_t bytes, const char *path) {
    manifest_file *file = &p->manifest.files[p->manifest.n_files];
    *file = (manifest_file){.sha256 = *sha256, .bytes = bytes};
    snprintf(file->role, sizeof file->role, "%s", p->file->role);
    if (strlen(p->file->name) >= sizeof file->name || strlen(path) >= sizeof file->path)
        return fail(HONE_ERR_ARGUMENT, "%s: the name is too long", p->file->name);
    strcpy(file->name, p->file->name);
    strcpy(file->path, path);
    p->manifest.n_files++;
    return HONE_OK;
}

/* The checked file at `path` becomes a blob. */
static hone_status keep_file(pull *p, const char *path, const sha256_hex *sha256) {
    fs_path blob;
    fs_lock lock;
    struct stat st;
    TRY(store_blob_path(p->store, sha256, &blob));
    if (stat(path, &st) != 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    chmod(path, 0444); /* nothing changes a blob */
    TRY(store_lock(p->store, &lock));
    hone_status status = HONE_OK;
    if (rename(path, blob.text) != 0)
        status = fail(HONE_ERR_IO, "%s: cannot rename: %s", blob.text, strerror(errno));
    fs_sync_folder_of(blob.text);
    fs_lock_release(&lock, false);
    return status == HONE_OK ? note_file(p, sha256, (uint64_t)st.st_size, "") : status;
}

static origin_job make_job(pull *p, const origin *source) {
    return (origin_job){.origin = source,
                        .folder = p->folder.text,
                        .wheels = p->wheels.text,
                        .expected_bytes = p->file ? p->file->bytes : 0,
                        .contents_are_checked = p->file && p->file->sha256,
                        .answer_timeout_s = p->options->answer_timeout_s,
                        .stall_timeout_s = p->options->stall_timeout_s,
                        .observe = on_event,
                        .context = p};
}

/* Fetches and checks. */
static hone_status try_source(pull *p, const char *text) {
    sha256_hex key, sha256;
    origin source;
    fs_path path;
    TRY(origin_parse(&source, text));
    origin_job job = make_job(p, &source);
    if (source.kind == ORIGIN_PATH) {
        TRY(origin_fetch(&job, NULL, &sha256));
        TRY(check_contents(p->file, source.text, &sha256));
        return note_file(p, &sha256, p->file->bytes, source.text);
    }
    TRY(sha256_of_text(&key, text));
    TRY(fs_path_format(&path, "%s/%.16s.part", p->folder.text, key.text));
    TRY(origin_fetch(&job, path.text, &sha256));
    hone_status status = check_contents(p->file, path.text, &sha256);
    if (status == HONE_OK) status = keep_file(p, path.text, &sha256);
    if (status == HONE_ERR_FORMAT) unlink(path.text);
    return status;
}

/* Calls `attempt` for the sources until one works: first for *first (as it worked for the file
 * before, and a hub that cannot be reached costs seconds), then in order. *first becomes the one
 * that worked. Another source would fill the same disk, so that a lack of room ends it all, as a
 * cancellation does. */
static hone_status try_sources(pull *p, const char *const *sources,
                               hone_status (*attempt)(pull *p, const char *source),
                               size_t *first) {
    buf words;
    buf_init(&words, 4096);
    hone_status status = HONE_OK;
    size_t n_sources = 0, n = 0;
    while (sources[n_sources]) n_sources++;
    size_t start = *first < n_sources ? *first : 0;
    for (; n < n_sources; n++) {
        *first = n == 0 ? start : n <= start ? n - 1 : n;
        const char *text = sources[*first];
        status = attempt(p, text);
        if (status == HONE_OK || status == HONE_ERR_CANCELLED || status == HONE_ERR_MEMORY) break;
        const char *glue = n ? "; " : "";
        if (buf_add_format(&words, "%s%.380s", glue, hone_error_message()) != HONE_OK) break;
        if (n + 1 == n_sources) continue;
        hone_status told = tell(p, (pull_event){.phase = PULL_GAVE_UP, .source = text,
                                                .words = hone_error_message()});
        if (told != HONE_OK) {
            status = told;
            break;
        }
    }
    if (status != HONE_OK && status != HONE_ERR_CANCELLED && status != HONE_ERR_MEMORY && n > 1)
        status = fail(HONE_ERR_IO, "%s: none of its %zu sources works: %s", p->wish->name.text, n,
                      words.data);
    buf_release(&words);
    return status;
}

/* --- one file --- */

/* Files that are there already, under whatever name, are not fetched. */
static hone_status look_for_blob(pull *p, bool *found) {
    const wanted *file = p->file;
    fs_path path;
    sha256_hex sha256;
    struct stat st;
    *found = false;
    if (!file->sha256 || !file->bytes) return HONE_OK;
    strcpy(sha256.text, file->sha256);
    TRY(store_blob_path(p->store, &sha256, &path));
    bool ours = stat(path.text, &st) == 0 && S_ISREG(st.st_mode) &&
                (uint64_t)st.st_size == file->bytes;
    if (!ours && !foreign_find_blob(file->sha256, file->bytes, &path)) return HONE_OK;
    *found = true;
    return note_file(p, &sha256, file->bytes, ours ? "" : path.text);
}

static bool still_waiting(void *context) {
    return tell(context, (pull_event){.phase = PULL_WAITING}) == HONE_OK;
}

static hone_status make_key(const pull *p, const char *text, fs_path *path) {
    sha256_hex key;
    if (sha256_is_hex(text))
        strcpy(key.text, text);
    else
        TRY(sha256_of_text(&key, text));
    return fs_path_format(path, "%s/partial/%s", p->store->folder.text, key.text);
}

static hone_status take_lock(const pull *p, const fs_path *key, fs_lock *lock) {
    fs_path path;
    TRY(fs_path_format(&path, "%s.lock", key->text));
    return fs_lock_take(lock, path.text, still_waiting, (void *)p);
}

static hone_status add_bytes(void *context, const char *path, const char *name) {
    uint64_t *sum = context;
    struct stat st;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".part") == 0 && stat(path, &st) == 0)
        *sum += (uint64_t)st.st_size;
    return HONE_OK;
}

/* Of a file that failed only what can be continued stays. The words of the failure stay, too. */
static void drop_empty(const fs_path *folder) {
    uint64_t bytes = 0;
    if (fs_each(folder->text, add_bytes, &bytes) == HONE_OK && bytes == 0)
        fs_remove_tree(folder->text);
}

/* Two pulls that want the same file meet at its lock, whatever names they want it for. */
static hone_status fetch_file(pull *p) {
    fs_lock lock;
    bool found;
    TRY(look_for_blob(p, &found));
    if (found) return HONE_OK;
    TRY(make_key(p, p->file->sha256 ? p->file->sha256 : p->file->sources[0], &p->folder));
    TRY(take_lock(p, &p->folder, &lock));
    /* Whoever held it may have done our work. */
    hone_status status = look_for_blob(p, &found);
    if (status == HONE_OK && !found) status = fs_make_folders(p->folder.text);
    if (status == HONE_OK && !found)
        status = try_sources(p, p->file->sources, try_source, &p->first_source);
    if (status == HONE_OK)
        status = fs_remove_tree(p->folder.text);
    else
        drop_empty(&p->folder);
    fs_lock_release(&lock, true);
    return status;
}

/* --- all files --- */

static hone_status ask_source(pull *p, const char *text) {
    origin source;
    TRY(origin_parse(&source, text));
    origin_job job = make_job(p, &source);
    wanted_list_release(&p->listed);
    return origin_list(&job, &p->listed);
}

/* The room for everything at once, so that the third file of ten does not fill the disk. */
static hone_status check_room(const pull *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->listed.n; i++) {
        fs_path blob;
        sha256_hex sha256;
        strcpy(sha256.text, p->listed.files[i].sha256);
        if (p->listed.files[i].source[0] == '/') continue;
        if (sha256.text[0] && store_blob_path(p->store, &sha256, &blob) == HONE_OK &&
            access(blob.text, F_OK) == 0)
            continue;
        bytes += p->listed.files[i].bytes;
    }
    return fs_check_space(p->store->folder.text, bytes);
}

static hone_status fetch_wanted(pull *p, const wanted *file) {
    if (p->manifest.n_files == MANIFEST_MAX_FILES)
        return fail(HONE_ERR_FORMAT, "a model of more than %d files", MANIFEST_MAX_FILES);
    p->file = file;
    p->nth++;
    hone_status status = fetch_file(p);
    p->file = NULL;
    return status;
}

/* What the source lists. Of a single file the description may know more. */
static hone_status fetch_list(pull *p) {
    const catalogue_file *what = p->described;
    for (size_t i = 0; i < p->listed.n; i++) {
        const wanted_file *f = &p->listed.files[i];
        const char *sources[] = {f->source, NULL};
        wanted file = {f->role, f->name, f->sha256[0] ? f->sha256 : NULL, f->bytes, sources};
        if (what->name && p->listed.n == 1) file.name = what->name;
        if (what->name && p->listed.n == 1 && what->bytes) file.bytes = what->bytes;
        size_t worked = p->first_source;
        hone_status status = fetch_wanted(p, &file);
        p->first_source = worked; /* among the description's sources, not the file's */
        TRY(status);
    }
    return HONE_OK;
}

static hone_status fetch_from(pull *p, const char *source) {
    size_t n_before = p->manifest.n_files, nth = p->nth, n_files = p->n_files;
    hone_status status = ask_source(p, source);
    if (status == HONE_OK) status = check_room(p);
    if (status == HONE_OK) {
        p->n_files += p->listed.n - 1;
        status = fetch_list(p);
    }
    if (status == HONE_OK) {
        strcpy(p->manifest.revision, p->listed.revision);
        if (!p->manifest.license[0]) strcpy(p->manifest.license, p->listed.license);
        return HONE_OK;
    }
    p->manifest.n_files = n_before; /* the next source begins anew */
    p->nth = nth, p->n_files = n_files;
    return status;
}

/* A file whose hash is known needs no list; of another the hub may know it. */
static hone_status fetch_described(pull *p, const catalogue_file *what) {
    hone_status status;
    if (what->name && what->sha256) {
        const wanted file = {"model", what->name, what->sha256, what->bytes, what->sources};
        status = fetch_wanted(p, &file);
    } else {
        p->described = what;
        status = try_sources(p, what->sources, fetch_from, &p->first_source);
    }
    if (status == HONE_OK && !p->manifest.source[0]) {
        size_t n = 0;
        while (n < p->first_source && what->sources[n + 1]) n++;
        remember_source(p->manifest.source, sizeof p->manifest.source, what->sources[n]);
    }
    return status;
}

static hone_status fetch_all(pull *p) {
    p->n_files = p->wish->n_files;
    for (size_t i = 0; i < p->wish->n_files; i++)
        TRY(fetch_described(p, &p->wish->files[i]));
    return HONE_OK;
}

/* --- into the store --- */

static hone_status prepare_folders(const pull *p) {
    static const char *const below[] = {"blobs", "partial"};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        fs_path folder;
        TRY(fs_path_format(&folder, "%s/%s", p->store->folder.text, below[i]));
        TRY(fs_make_folders(folder.text));
    }
    return HONE_OK;
}

static hone_status fetch_into_store(pull *p, store_entry *entry, bool *there) {
    /* Whoever held the lock may have done our work. */
    TRY(look_in_store(p, entry, there));
    if (*there) return HONE_OK;
    TRY(fs_remove_tree(p->wheels.text)); /* a killed pull's */
    hone_status status = fetch_all(p);
    char words[1024];
    snprintf(words, sizeof words, "%s", hone_error_message());
    fs_remove_tree(p->wheels.text);
    if (status != HONE_OK) return fail(status, "%s", words);
    p->manifest.pulled = time(NULL);
    TRY(store_write_entry(p->store, &p->manifest));
    bool ours;
    TRY(look_in_store(p, entry, &ours));
    return ours ? HONE_OK
                : fail(HONE_ERR_IO, "%s: gone as soon as it was there", p->wish->name.text);
}

static hone_status pull_under_lock(pull *p, store_entry *entry, bool *there) {
    char key[MODEL_NAME_MAX + 8];
    fs_lock lock;
    p->manifest.name = p->wish->name;
    snprintf(p->manifest.license, sizeof p->manifest.license, "%s", p->wish->license);
    p->manifest.files = mem_calloc(MANIFEST_MAX_FILES, sizeof *p->manifest.files);
    if (!p->manifest.files) return mem_fail("list of files", sizeof *p->manifest.files);
    TRY(prepare_folders(p));
    snprintf(key, sizeof key, "model:%s", p->wish->name.text);
    TRY(make_key(p, key, &p->key));
    TRY(fs_path_format(&p->wheels, "%s.wheels", p->key.text));
    TRY(take_lock(p, &p->key, &lock));
    hone_status status = fetch_into_store(p, entry, there);
    fs_lock_release(&lock, true);
    return status;
}

hone_status store_pull(const store *s, const char *what, const store_pull_options *options,
                       store_entry *entry, bool *was_there) {
    static const store_pull_options usual;
    wish w;
    bool there = false;
    if (!options) options = &usual;
    TRY(understand(s, &w, what, options->name));
    pull *p = mem_calloc(1, sizeof *p); /* paths make it too large for small stacks */
    if (!p) return mem_fail("pull", sizeof *p);
    p->store = s;
    p->options = options;
    p->wish = &w;
    hone_status status = look_in_store(p, entry, &there);
    if (status == HONE_OK && !there) there = look_elsewhere(p, what, entry);
    if (status == HONE_OK && !there) status = pull_under_lock(p, entry, &there);
    wanted_list_release(&p->listed);
    manifest_release(&p->manifest);
    mem_free(p);
    if (status == HONE_OK && was_there) *was_there = there;
    return status;
}
