/* /api/pull, /api/copy, /api/delete and /api/blobs: the store, by names and hashes alone. No text
 * of a request is ever used as a path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/ollama.h"
#include "serve/reply.h"
#include "serve/work.h"
#include "weights/origin_ollama.h"

#define MAX_BLOB_BYTES ((uint64_t)1 << 41)

/* --- pull --- */

typedef struct pull_task {
    json_t *body;
    models *models;
    char source[ORIGIN_MAX_TEXT];
    const char *name; /* under which it is kept; NULL = the source's */
    model_name own;
    work *work;
    char file[300]; /* that is fetched */
} pull_task;

static void pull_close(void *state) {
    pull_task *p = state;
    json_decref(p->body);
    mem_free(p);
}

/* What a client may ask for: names of the catalogue, of the hub, of Ollama's registry. Addresses,
 * other registries, packages and paths are for the command line. */
static hone_status find_source(pull_task *p, const char *typed) {
    origin source;
    TRY(model_name_parse(&p->own, typed));
    if (catalogue_find(store_catalogue(models_store(p->models)), typed)) {
        snprintf(p->source, sizeof p->source, "%s", typed);
        return HONE_OK;
    }
    if (origin_is_meant(typed)) {
        TRY(origin_parse(&source, typed));
        bool fine = source.kind == ORIGIN_HUB ||
                    (source.kind == ORIGIN_OLLAMA &&
                     !strcmp(source.registry.host, ollama_registry_host));
        if (fine && snprintf(p->source, sizeof p->source, "%s", typed) < (int)sizeof p->source)
            return HONE_OK;
    } else {
        const char *slash = strchr(typed, '/');
        p->name = p->own.text;
        if (!slash || !strchr(slash + 1, '/')) {
            snprintf(p->source, sizeof p->source, "ollama.com/%s%s", slash ? "" : "library/",
                     typed);
            return HONE_OK;
        }
    }
    return fail(HONE_ERR_UNSUPPORTED, "%s: requests can pull names of hone's catalogue, of the hub "
                "and of Ollama's registry; anything else on the command line (hone pull)", typed);
}

static bool tell_pull(void *context, const pull_event *e) {
    pull_task *p = context;
    const char *file = e->file ? e->file : "";
    char status[400];
    switch (e->phase) {
    case PULL_WAITING: snprintf(status, sizeof status, "waiting for another pull"); break;
    case PULL_ASKING: snprintf(status, sizeof status, "pulling manifest"); break;
    case PULL_DOWNLOADING: snprintf(status, sizeof status, "pulling %s", file); break;
    case PULL_UNPACKING: snprintf(status, sizeof status, "unpacking %s", file); break;
    case PULL_VERIFYING: snprintf(status, sizeof status, "verifying sha256 digest"); break;
    case PULL_GAVE_UP:
        snprintf(status, sizeof status, "one source fails: %.300s", e->words ? e->words : "");
        break;
    case PULL_CHATTER: return work_goes_on(p->work);
    }
    json_t *line = json_pack("{s:s}", "status", status);
    if (e->phase == PULL_DOWNLOADING && line) {
        json_object_set_new(line, "digest", json_string(file));
        if (e->total) json_object_set_new(line, "total", json_integer((json_int_t)e->total));
        json_object_set_new(line, "completed", json_integer((json_int_t)e->bytes));
    }
    bool whole = e->total && e->bytes == e->total;
    return work_tell(p->work, line, e->phase != PULL_GAVE_UP && !whole);
}

static hone_status run_pull(work *w, void *state) {
    pull_task *p = state;
    store_entry entry;
    bool was_there;
    p->work = w;
    if (!work_tell(w, json_pack("{s:s}", "status", "pulling manifest"), false))
        return fail(HONE_ERR_CANCELLED, "cancelled");
    const store_pull_options options = {.name = p->name, .observe = tell_pull, .context = p};
    TRY(store_pull(models_store(p->models), p->source, &options, &entry, &was_there));
    if (!was_there) models_unload(p->models, entry.manifest.name.text);
    manifest_release(&entry.manifest);
    const char *words = was_there ? "it is there already" : "writing manifest";
    work_tell(w, json_pack("{s:s}", "status", words), false);
    return HONE_OK;
}

void ollama_pull(const call *c) {
    const char *name;
    bool stream = true, insecure = false;
    pull_task *p = mem_calloc(1, sizeof *p);
    hone_status status = p ? ollama_read_body(c, &p->body, &name) : mem_fail("request", sizeof *p);
    if (status != HONE_OK) {
        mem_free(p);
        reply_failure(c->x, status);
        return;
    }
    p->models = c->models;
    status = json_get_bool(p->body, "stream", &stream);
    if (status == HONE_OK) status = json_get_bool(p->body, "insecure", &insecure);
    if (status == HONE_OK && insecure)
        status = fail(HONE_ERR_UNSUPPORTED, "insecure: certificates are always checked");
    if (status == HONE_OK) status = find_source(p, name);
    if (status == HONE_OK) {
        work_reply(c, stream, &(work_task){run_pull, pull_close, p});
        return;
    }
    reply_failure(c->x, status);
    pull_close(p);
}

/* --- copy, delete --- */

static hone_status copy(const call *c, const json_t *body) {
    const store *s = models_store(c->models);
    const char *from = NULL, *to = NULL;
    model_name name;
    store_entry entry;
    if (!json_is_object(body)) return fail(HONE_ERR_FORMAT, "the request is no JSON object");
    TRY(json_get_string(body, "source", &from));
    TRY(json_get_string(body, "destination", &to));
    if (!from || !to) return fail(HONE_ERR_ARGUMENT, "source and destination are required");
    TRY(model_name_parse(&name, to));
    TRY(store_find(s, from, &entry));
    entry.manifest.name = name;
    hone_status status = store_define(s, &entry.manifest);
    manifest_release(&entry.manifest);
    if (status == HONE_OK) models_unload(c->models, name.text);
    return status;
}

void ollama_copy(const call *c) {
    size_t n;
    json_t *body;
    const char *text = exchange_body(c->x, &n);
    hone_status status = json_parse(&body, text, n, "the request");
    if (status == HONE_OK) {
        status = call_check_body(c, body);
        if (status == HONE_OK) status = copy(c, body);
        json_decref(body);
    }
    if (status == HONE_OK) exchange_reply(c->x, 200, "application/json", "", 0);
    else reply_failure(c->x, status);
}

/* Whoever has the model open holds its file: this server closes it when its answers are done. */
static hone_status remove_model(const call *c, const char *name) {
    enum { PATIENCE_MS = 3000 };
    double begin = clock_ms();
    hone_status status;
    bool open = models_unload(c->models, name) == HONE_OK;
    while ((status = store_remove(models_store(c->models), name, NULL)) == HONE_ERR_IO && open &&
           clock_ms() - begin < PATIENCE_MS)
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    return status;
}

void ollama_delete(const call *c) {
    json_t *body;
    const char *name;
    hone_status status = ollama_read_body(c, &body, &name);
    if (status == HONE_OK) {
        status = remove_model(c, name);
        json_decref(body);
    }
    if (status == HONE_OK) exchange_reply(c->x, 200, "application/json", "", 0);
    else if (status == HONE_ERR_IO) reply_error(c->x, 409, NULL, NULL, hone_error_message());
    else reply_failure(c->x, status);
}

/* --- blobs --- */

/* sha256:… or sha256-…, and nothing else. */
static bool read_digest(const char *text, sha256_hex *sha256) {
    size_t n = strlen("sha256:");
    if (strncmp(text, "sha256", n - 1) != 0 || (text[n - 1] != ':' && text[n - 1] != '-') ||
        strlen(text + n) != 64 || !sha256_is_hex(text + n))
        return false;
    memcpy(sha256->text, text + n, sizeof sha256->text);
    return true;
}

void ollama_blob_look(const call *c) {
    sha256_hex sha256;
    bool valid = read_digest(c->rest, &sha256);
    bool there = valid && store_has_blob(models_store(c->models), &sha256, NULL);
    exchange_reply(c->x, there ? 200 : valid ? 404 : 400, "application/json", "", 0);
}

/* A blob on its way; `blob` NULL: it is there already, and what comes is thrown away. */
typedef struct upload {
    store_blob *blob;
} upload;

static bool take_piece(void *state, const char *data, size_t n) {
    const upload *u = state;
    return !u->blob || store_blob_write(u->blob, data, n) == HONE_OK;
}

static void upload_close(void *state) {
    upload *u = state;
    store_blob_close(u->blob);
    mem_free(u);
}

static hone_status check_room(const call *c) {
    const char *length = exchange_header(c->x, "Content-Length");
    const char *folder = store_folder(models_store(c->models));
    TRY(fs_make_folders(folder));
    return length ? fs_check_space(folder, strtoull(length, NULL, 10)) : HONE_OK;
}

static hone_status begin_upload(const call *c, upload *u) {
    sha256_hex sha256;
    if (!read_digest(c->rest, &sha256))
        return fail(HONE_ERR_ARGUMENT, "invalid digest: sha256: and 64 hexadecimal digits");
    if (store_has_blob(models_store(c->models), &sha256, NULL)) return HONE_OK;
    TRY(check_room(c));
    return store_blob_open(&u->blob, models_store(c->models), &sha256);
}

/* Without a diversion the body is refused, and ollama_blob_end says why. */
void ollama_blob_begin(const call *c) {
    upload *u = mem_calloc(1, sizeof *u);
    if (u && begin_upload(c, u) == HONE_OK)
        exchange_divert(c->x, MAX_BLOB_BYTES, take_piece, upload_close, u);
    else if (u)
        upload_close(u);
}

static hone_status say_why(const call *c) {
    upload u = {.blob = NULL};
    TRY(begin_upload(c, &u));
    store_blob_close(u.blob);
    return fail(HONE_ERR_BUSY, "the upload could not begin; try again");
}

static void reply_upload_failure(exchange *x, hone_status status) {
    if (status == HONE_ERR_MEMORY) reply_error(x, 507, NULL, NULL, hone_error_message());
    else reply_failure(x, status);
}

void ollama_blob_end(const call *c) {
    upload *u = exchange_diverted(c->x);
    if (!u) {
        reply_upload_failure(c->x, say_why(c));
        return;
    }
    bool was_there = !u->blob;
    hone_status status = was_there ? HONE_OK : store_blob_commit(u->blob);
    if (status == HONE_OK) exchange_reply(c->x, was_there ? 200 : 201, "application/json", "", 0);
    else reply_upload_failure(c->x, status);
}
