/* store_pull: from a name or source to a file in the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "weights/catalogue.h"
#include "weights/store_int.h"

/* What is wanted, wherever it is described. */
typedef struct wish {
    model_name name;
    const char *license, *file; /* "" where not known */
    uint64_t bytes;             /* 0 = not known */
    const char *sha256;         /* NULL = not known */
    const char *sources[CATALOGUE_MAX_SOURCES + 1];
    origin single; /* the one that a person typed */
} wish;

typedef struct pull {
    const store *store;
    const store_pull_options *options;
    const wish *wish;
    fs_path folder; /* partial/<key> */
    fs_path blob;   /* result */
    manifest_file file;
    char source[ORIGIN_MAX_TEXT];
} pull;

static bool tell(const pull *p, const pull_event *event) {
    return !p->options->observe || p->options->observe(p->options->context, event);
}

/* --- what is wanted --- */

/* A name from a file's: "TinyLlama-1.1B.Q4_K_M.gguf" becomes "tinyllama-1.1b.q4_k_m". */
static hone_status name_from_file(model_name *name, const char *file) {
    char text[MODEL_NAME_MAX];
    size_t n = 0;
    for (const char *c = file; *c && n < 100; c++) {
        char letter = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        bool plain = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
        if (!plain && n == 0) continue; /* names begin with a letter or digit */
        text[n++] = plain || letter == '.' || letter == '_' ? letter : '-';
    }
    text[n] = 0;
    if (n == 0) strcpy(text, "model");
    if (n > 5 && strcmp(text + n - 5, ".gguf") == 0) text[n - 5] = 0;
    return model_name_parse(name, text);
}

static hone_status understand(wish *w, const char *what, const char *name) {
    *w = (wish){.license = "", .file = ""};
    const catalogue_entry *known = catalogue_find(what);
    if (known) {
        w->license = known->license;
        w->file = known->file;
        w->bytes = known->bytes;
        w->sha256 = known->sha256;
        memcpy(w->sources, known->sources, sizeof w->sources);
        return store_full_name(&w->name, name ? name : known->name);
    }
    if (!origin_is_meant(what))
        return fail(HONE_ERR_NOT_FOUND,
                    "%s: not a model that hone knows by name; give its source "
                    "(https://…, hf:OWNER/REPOSITORY#FILE, pip:PACKAGE==VERSION#PATH)", what);
    TRY(origin_parse(&w->single, what));
    w->file = w->single.file;
    w->sources[0] = w->single.text;
    return name ? store_full_name(&w->name, name) : name_from_file(&w->name, w->file);
}

/* What a manifest remembers of a source: of a URL no query, which may hold keys. */
static void remember_source(char *out, size_t size, const char *text) {
    int n = strstr(text, "://") ? (int)strcspn(text, "?#") : (int)strlen(text);
    snprintf(out, size, "%.*s", n, text);
}

/* --- is it there already? --- */

/* Fills *entry when the wish is fulfilled. A name that stands for something else is refused. */
static hone_status look_in_store(const pull *p, store_entry *entry, bool *there) {
    const wish *w = p->wish;
    fs_path path;
    store_entry found;
    *there = false;
    TRY(store_manifest_path(p->store, &w->name, &path));
    if (access(path.text, F_OK) != 0) return HONE_OK;
    TRY(store_read_entry(p->store, path.text, &w->name, &found));
    char wanted[ORIGIN_MAX_TEXT];
    remember_source(wanted, sizeof wanted, w->sources[0]);
    bool same = found.manifest.n_files == 0 ||
                (w->sha256 ? strcmp(found.manifest.files[0].sha256.text, w->sha256) == 0
                           : strcmp(found.manifest.source, wanted) == 0);
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

/* --- one source --- */

static hone_status check_contents(const pull *p, const char *path, const sha256_hex *sha256) {
    struct stat st;
    if (stat(path, &st) != 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    const wish *w = p->wish;
    if (w->bytes && (uint64_t)st.st_size != w->bytes)
        return fail(HONE_ERR_FORMAT, "%lld bytes came, expected %llu: thrown away",
                    (long long)st.st_size, (unsigned long long)w->bytes);
    if (w->sha256 && strcmp(w->sha256, sha256->text) != 0)
        return fail(HONE_ERR_FORMAT, "the file came damaged and was thrown away: its SHA-256 is "
                    "%.12s…, expected %.12s…", sha256->text, w->sha256);
    if (w->sha256) return HONE_OK;
    /* Of a file that nobody vouches for, at least the kind must be right. */
    char magic[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, magic, sizeof magic);
    if (fd >= 0) close(fd);
    if (n == 4 && memcmp(magic, "GGUF", 4) == 0) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "what came is not a GGUF file: thrown away");
}

static hone_status note_file(pull *p, const char *path, const origin *s, const sha256_hex *sha256) {
    struct stat st;
    if (stat(path, &st) != 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    p->file = (manifest_file){.role = "model", .sha256 = *sha256, .bytes = (uint64_t)st.st_size};
    snprintf(p->file.name, sizeof p->file.name, "%s", *p->wish->file ? p->wish->file : s->file);
    remember_source(p->source, sizeof p->source, s->text);
    return HONE_OK;
}

/* Fetches and checks. HONE_OK: the file lies complete at *path. */
static hone_status try_source(pull *p, const char *text, fs_path *path) {
    sha256_hex key, sha256;
    origin s;
    TRY(origin_parse(&s, text));
    TRY(sha256_of_text(&key, text));
    TRY(fs_path_format(path, "%s/%.16s.part", p->folder.text, key.text));
    origin_job job = {.origin = &s,
                      .folder = p->folder.text,
                      .expected_bytes = p->wish->bytes,
                      .contents_are_checked = p->wish->sha256 != NULL,
                      .answer_timeout_s = p->options->answer_timeout_s,
                      .stall_timeout_s = p->options->stall_timeout_s,
                      .observe = p->options->observe,
                      .context = p->options->context};
    TRY(origin_fetch(&job, path->text, &sha256));
    hone_status status = check_contents(p, path->text, &sha256);
    if (status == HONE_OK) return note_file(p, path->text, &s, &sha256);
    unlink(path->text);
    return status;
}

static hone_status try_sources(pull *p, fs_path *path) {
    buf words;
    buf_init(&words, 4096);
    hone_status status = HONE_OK;
    size_t n = 0;
    for (const char *const *text = p->wish->sources; *text; text++, n++) {
        status = try_source(p, *text, path);
        /* Another source would fill the same disk. */
        if (status == HONE_OK || status == HONE_ERR_CANCELLED || status == HONE_ERR_MEMORY) break;
        pull_event event = {.phase = PULL_GAVE_UP, .source = *text, .words = hone_error_message()};
        if (text[1] && !tell(p, &event)) {
            status = fail(HONE_ERR_CANCELLED, "cancelled");
            break;
        }
        const char *glue = n ? "; " : "";
        if (buf_add_format(&words, "%s%.380s", glue, hone_error_message()) != HONE_OK) break;
    }
    if (status != HONE_OK && status != HONE_ERR_CANCELLED && status != HONE_ERR_MEMORY && n > 1)
        status = fail(HONE_ERR_IO, "%s: none of its %zu sources works: %s", p->wish->name.text, n,
                      words.data);
    buf_release(&words);
    return status;
}

/* --- into the store --- */

static hone_status commit(pull *p, const char *path) {
    fs_path manifest_path, folder;
    fs_lock lock;
    TRY(store_blob_path(p->store, &p->file.sha256, &p->blob));
    TRY(store_manifest_path(p->store, &p->wish->name, &manifest_path));
    TRY(fs_path_format(&folder, "%s", manifest_path.text));
    *strrchr(folder.text, '/') = 0;

    manifest m = {.name = p->wish->name, .pulled = time(NULL), .files = &p->file, .n_files = 1};
    snprintf(m.license, sizeof m.license, "%s", p->wish->license);
    snprintf(m.source, sizeof m.source, "%s", p->source);

    chmod(path, 0444); /* nothing changes a blob */
    TRY(store_lock(p->store, &lock));
    hone_status status = HONE_OK;
    if (rename(path, p->blob.text) != 0)
        status = fail(HONE_ERR_IO, "%s: cannot rename: %s", p->blob.text, strerror(errno));
    fs_sync_folder_of(p->blob.text);
    if (status == HONE_OK) status = fs_make_folders(folder.text);
    if (status == HONE_OK) status = manifest_write(&m, manifest_path.text);
    fs_lock_release(&lock, false);
    return status;
}

static bool still_waiting(void *context) {
    pull_event event = {.phase = PULL_WAITING};
    return tell(context, &event);
}

/* The blob may be there already, without a name: a pull was killed at the last moment, or another
 * name has it. */
static bool have_blob(pull *p) {
    struct stat st;
    if (!p->wish->sha256) return false;
    strcpy(p->file.sha256.text, p->wish->sha256);
    return store_blob_path(p->store, &p->file.sha256, &p->blob) == HONE_OK &&
           stat(p->blob.text, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == p->wish->bytes;
}

static hone_status fetch(pull *p) {
    fs_path path;
    origin s;
    if (have_blob(p)) {
        TRY(origin_parse(&s, p->wish->sources[0]));
        TRY(note_file(p, p->blob.text, &s, &(sha256_hex){{0}}));
        strcpy(p->file.sha256.text, p->wish->sha256);
        return commit(p, p->blob.text);
    }
    TRY(fs_make_folders(p->folder.text));
    TRY(try_sources(p, &path));
    TRY(commit(p, path.text));
    return fs_remove_tree(p->folder.text);
}

static hone_status pull_under_lock(pull *p, store_entry *entry, bool *there) {
    fs_path lock_path, folder;
    fs_lock lock;
    sha256_hex key;
    if (p->wish->sha256)
        strcpy(key.text, p->wish->sha256);
    else
        TRY(sha256_of_text(&key, p->wish->sources[0]));
    const char *root = p->store->folder.text;
    TRY(fs_path_format(&p->folder, "%s/partial/%s", root, key.text));
    TRY(fs_path_format(&lock_path, "%s.lock", p->folder.text));
    TRY(fs_path_format(&folder, "%s/blobs", root));
    TRY(fs_make_folders(folder.text));
    TRY(fs_path_format(&folder, "%s/partial", root));
    TRY(fs_make_folders(folder.text));

    TRY(fs_lock_take(&lock, lock_path.text, still_waiting, p));
    /* Whoever held it may have done our work. */
    hone_status status = look_in_store(p, entry, there);
    if (status == HONE_OK && !*there) {
        bool ours;
        status = fetch(p);
        if (status == HONE_OK) status = look_in_store(p, entry, &ours);
        if (status == HONE_OK && !ours)
            status = fail(HONE_ERR_IO, "%s: gone as soon as it was there", p->wish->name.text);
    }
    fs_lock_release(&lock, true);
    return status;
}

hone_status store_pull(const store *s, const char *what, const store_pull_options *options,
                       store_entry *entry, bool *was_there) {
    static const store_pull_options usual;
    wish w;
    bool there = false;
    if (!options) options = &usual;
    TRY(understand(&w, what, options->name));
    pull *p = mem_calloc(1, sizeof *p); /* paths make it too large for small stacks */
    if (!p) return mem_fail("pull", sizeof *p);
    p->store = s;
    p->options = options;
    p->wish = &w;
    hone_status status = look_in_store(p, entry, &there);
    if (status == HONE_OK && !there) status = pull_under_lock(p, entry, &there);
    mem_free(p);
    if (status == HONE_OK && was_there) *was_there = there;
    return status;
}
