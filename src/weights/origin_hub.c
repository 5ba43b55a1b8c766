#include "weights/origin_hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "weights/origin_int.h"

/* The hub's host, unless HF_ENDPOINT names another one; and what people call it. */
#define HUB_HOST "huggingface.co"
#define HUB_SHORT ORIGIN_HUB_NAME

enum { MAX_LISTING_BYTES = 16 << 20, MAX_REPOSITORY_FILES = 20000 };

/* --- the text --- */

static hone_status fail_form(const origin *s) {
    return fail(HONE_ERR_ARGUMENT, "%.300s: expected " HUB_SHORT "OWNER/REPOSITORY[@REVISION], "
                                   "then :QUANT, /FILE or nothing", s->text);
}

/* "resolve/main/x.gguf", as the hub's own addresses have it. */
static const char *skip_page(origin *s, const char *path) {
    static const char *const pages[] = {"resolve/", "blob/", "raw/", "tree/"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t n = strlen(pages[i]);
        if (strncmp(path, pages[i], n) != 0) continue;
        size_t revision = strcspn(path + n, "/?");
        if (!origin_copy_word(s->hub.revision, sizeof s->hub.revision, path + n, revision, "._-"))
            return path;
        path += n + revision;
        return *path == '/' ? path + 1 : path;
    }
    return path;
}

static bool parse_path(origin *s, const char *path, size_t n) {
    return origin_copy_path(s->hub.path, sizeof s->hub.path, path, n) &&
           origin_take_file_name(s, s->hub.path);
}

/* Behind a slash: a path, or the rest of a page's address ("?download=true"). */
static bool parse_address(origin *s, const char *text) {
    const char *path = skip_page(s, text);
    size_t n = strcspn(path, "?");
    return n == 0 || parse_path(s, path, n);
}

static hone_status parse_hub(origin *s, const char *rest) {
    const char *slash = strchr(rest, '/');
    size_t n = slash ? (size_t)(slash + 1 - rest) + strcspn(slash + 1, "@:/#?") : 0;
    if (n == 0 || !origin_copy_path(s->hub.repository, sizeof s->hub.repository, rest, n) ||
        strpbrk(s->hub.repository, " ()@=+"))
        return fail_form(s);
    const char *at = rest + n;
    if (*at == '@') {
        n = strcspn(++at, ":/#");
        if (!origin_copy_word(s->hub.revision, sizeof s->hub.revision, at, n, "._-"))
            return fail_form(s);
        at += n;
    }
    bool fine = true;
    if (*at == ':')
        fine = origin_copy_word(s->hub.quant, sizeof s->hub.quant, at + 1, strlen(at + 1), "_-.");
    else if (*at == '#')
        fine = parse_path(s, at + 1, strlen(at + 1));
    else if (*at == '/')
        fine = parse_address(s, at + 1);
    return fine ? HONE_OK : fail_form(s);
}

static hone_status name_of_hub(const origin *s, model_name *name) {
    return origin_repository_name(HUB_SHORT, s->hub.repository,
                                  s->hub.quant[0] ? s->hub.quant : s->file, name);
}

/* --- the hub's answer --- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void hub_repository_release(hub_repository *r) {
    mem_free(r->files);
    *r = (hub_repository){0};
}

static hone_status copy_text(const json_t *object, const char *key, char *out, size_t size) {
    const char *text = "";
    TRY(json_get_string(object, key, &text));
    if (strlen(text) < size) strcpy(out, text); /* a longer one is none that we know */
    return HONE_OK;
}

static hone_status parse_sibling(hub_repository *r, const json_t *sibling) {
    const char *path = "", *sha256 = "";
    hub_file *file = &r->files[r->n];
    if (!json_is_object(sibling)) return fail(HONE_ERR_FORMAT, "siblings: expected objects");
    TRY(json_get_string(sibling, "rfilename", &path));
    if (!origin_copy_path(file->path, sizeof file->path, path, strlen(path)) ||
        base_name(path)[0] == '.')
        return HONE_OK;
    TRY(json_get_u64(sibling, "size", &file->bytes));
    const json_t *lfs = json_object_get(sibling, "lfs");
    if (json_is_object(lfs)) {
        TRY(json_get_string(lfs, "sha256", &sha256));
        TRY(json_get_u64(lfs, "size", &file->bytes));
        if (*sha256 && !sha256_is_hex(sha256))
            return fail(HONE_ERR_FORMAT, "%s: its SHA-256 is none", path);
        strcpy(file->sha256, sha256);
    }
    r->n++;
    return HONE_OK;
}

/* The card's "license", else the tag that the hub made of it. */
static hone_status parse_license(hub_repository *r, const json_t *root) {
    const json_t *card = json_object_get(root, "cardData"), *tags = json_object_get(root, "tags");
    if (json_is_string(json_object_get(card, "license")))
        TRY(copy_text(card, "license", r->license, sizeof r->license));
    for (size_t i = 0; !r->license[0] && i < json_array_size(tags); i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        if (tag && strncmp(tag, "license:", 8) == 0 && strlen(tag + 8) < sizeof r->license)
            strcpy(r->license, tag + 8);
    }
    return HONE_OK;
}

static hone_status parse_root(hub_repository *r, const json_t *root) {
    const json_t *siblings = json_object_get(root, "siblings");
    size_t n = json_array_size(siblings);
    if (!json_is_array(siblings)) return fail(HONE_ERR_FORMAT, "siblings: expected a list");
    if (n > MAX_REPOSITORY_FILES)
        return fail(HONE_ERR_FORMAT, "%zu files, at most %d are taken", n, MAX_REPOSITORY_FILES);
    TRY(copy_text(root, "sha", r->commit, sizeof r->commit));
    if (strspn(r->commit, "0123456789abcdef") != strlen(r->commit))
        return fail(HONE_ERR_FORMAT, "sha: expected a commit");
    TRY(parse_license(r, root));
    r->files = mem_calloc(n + 1, sizeof *r->files);
    if (!r->files) return mem_fail("list of files", n * sizeof *r->files);
    for (size_t i = 0; i < n; i++) TRY(parse_sibling(r, json_array_get(siblings, i)));
    return HONE_OK;
}

hone_status hub_repository_parse(hub_repository *out, const char *text, size_t n,
                                 const char *name) {
    json_t *root = NULL;
    hub_repository r = {0};
    TRY(json_parse(&root, text, n, name));
    hone_status status = json_is_object(root) ? parse_root(&r, root)
                                              : fail(HONE_ERR_FORMAT, "expected an object");
    json_decref(root);
    if (status != HONE_OK) {
        hub_repository_release(&r);
        return status == HONE_ERR_MEMORY ? status : fail_context(status, "%s", name);
    }
    *out = r;
    return HONE_OK;
}

/* --- which files --- */

static const hub_file *find_path(const hub_repository *r, const char *path) {
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->files[i].path, path) == 0) return &r->files[i];
    return NULL;
}

static hone_status add_file(const hub_repository *r, const origin *s, const hub_file *file,
                            wanted_list *list) {
    wanted_file *wanted = wanted_list_add(list);
    if (!wanted) return HONE_ERR_MEMORY;
    const char *revision = r->commit[0] ? r->commit : s->hub.revision;
    int n = snprintf(wanted->source, sizeof wanted->source, HUB_SHORT "%s%s%s#%s",
                     s->hub.repository, *revision ? "@" : "", revision, file->path);
    if (n < 0 || (size_t)n >= sizeof wanted->source ||
        strlen(base_name(file->path)) >= sizeof wanted->name)
        return fail(HONE_ERR_UNSUPPORTED, "%s: the file's path is too long", file->path);
    strcpy(wanted->name, base_name(file->path));
    strcpy(wanted->sha256, file->sha256);
    wanted->bytes = file->bytes;
    return HONE_OK;
}

/* A file, or all the parts that it is one of. */
static hone_status add_path(const hub_repository *r, const origin *s, const char *path,
                            wanted_list *list) {
    char part[sizeof r->files->path];
    size_t n = origin_count_split(path);
    snprintf(part, sizeof part, "%s", path);
    for (size_t nth = 1; nth <= n; nth++) {
        if (n > 1) origin_set_split(part, nth);
        const hub_file *file = find_path(r, part);
        if (!file)
            return fail(HONE_ERR_NOT_FOUND, "%s: the repository has no %s", s->text, part);
        TRY(add_file(r, s, file, list));
    }
    return HONE_OK;
}

/* A GGUF file of a language model, of a split one the first part. */
static bool is_gguf(const char *path) {
    size_t n = strlen(path);
    if (n <= 5 || strcasecmp(path + n - 5, ".gguf") != 0) return false;
    if (strcasestr(base_name(path), "mmproj")) return false; /* a projector */
    return origin_count_split(path) == 1 || strstr(path, "-00001-of-") != NULL;
}

static size_t count_folders(const char *path) {
    size_t n = 0;
    for (; *path; path++) n += *path == '/';
    return n;
}

/* Of several files of one quantisation the one that lies highest, then the shortest name. */
static const hub_file *find_quant(const hub_repository *r, const char *quant) {
    const hub_file *best = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const hub_file *file = &r->files[i];
        char its[64];
        if (!is_gguf(file->path)) continue;
        origin_quant_of_file(its, sizeof its, file->path);
        if (quant && strcasecmp(its, quant) != 0) continue;
        size_t depth = count_folders(file->path), least = best ? count_folders(best->path) : 0;
        bool is_shorter = best && strlen(file->path) < strlen(best->path);
        if (!best || depth < least || (depth == least && is_shorter)) best = file;
    }
    return best;
}

/* What most people want of a repository with a dozen quantisations. */
static const hub_file *find_usual(const hub_repository *r) {
    static const char *const usual[] = {"Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "Q5_K_M", "Q8_0"};
    const hub_file *file = NULL;
    for (size_t i = 0; !file && i < sizeof usual / sizeof *usual; i++)
        file = find_quant(r, usual[i]);
    return file ? file : find_quant(r, NULL);
}

/* "Q4_K_M, Q8_0": what there is. */
static hone_status fail_quant(const hub_repository *r, const origin *s) {
    char there[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        char quant[64];
        if (!is_gguf(r->files[i].path)) continue;
        origin_quant_of_file(quant, sizeof quant, r->files[i].path);
        if (!quant[0] || strstr(there, quant) || n + strlen(quant) + 3 > sizeof there) continue;
        n += (size_t)snprintf(there + n, sizeof there - n, "%s%s", n ? ", " : "", quant);
    }
    if (!n)
        return fail(HONE_ERR_NOT_FOUND, "%s: the repository has no GGUF file", s->text);
    return fail(HONE_ERR_NOT_FOUND, "%s: the repository has no GGUF file of that kind; it has %s",
                s->text, there);
}

static hone_status add_folder(const hub_repository *r, const origin *s, wanted_list *list) {
    bool has_safetensors = false, has_weights = false;
    for (size_t i = 0; i < r->n; i++) {
        const char *path = r->files[i].path;
        if (!origin_is_folder_file(path)) continue;
        has_safetensors = has_safetensors || strstr(path, ".safetensors");
        has_weights = has_weights || has_safetensors || strcmp(path, "model.bin") == 0;
    }
    if (!has_weights)
        return fail(HONE_ERR_NOT_FOUND, "%s: no weights there that hone reads (GGUF, safetensors)",
                    s->text);
    for (size_t i = 0; i < r->n; i++) {
        const char *path = r->files[i].path;
        bool doubled = has_safetensors && (strcmp(path, "model.bin") == 0 ||
                                           strncmp(path, "consolidated", 12) == 0);
        if (origin_is_folder_file(path) && !doubled) TRY(add_file(r, s, &r->files[i], list));
    }
    return HONE_OK;
}

hone_status hub_choose(const hub_repository *r, const origin *s, wanted_list *list) {
    strcpy(list->license, r->license);
    strcpy(list->revision, r->commit);
    if (s->hub.path[0]) return add_path(r, s, s->hub.path, list);
    bool any = !s->hub.quant[0] || strcasecmp(s->hub.quant, "latest") == 0;
    const hub_file *file = any ? find_usual(r) : find_quant(r, s->hub.quant);
    if (file) return add_path(r, s, file->path, list);
    return any ? add_folder(r, s, list) : fail_quant(r, s);
}

/* --- requests --- */

/* Length of the endpoint without a slash at its end. */
static int get_endpoint(const char **endpoint) {
    *endpoint = getenv("HF_ENDPOINT");
    if (!*endpoint || !**endpoint) *endpoint = "https://" HUB_HOST;
    int n = (int)strlen(*endpoint);
    while (n > 0 && (*endpoint)[n - 1] == '/') n--;
    return n;
}

/* 401 and 403 are the hub's words for "missing or private" and "gated". */
static hone_status explain(const origin *s, hone_status status, long http_status) {
    if (http_status != 401 && http_status != 403) return status;
    const char *endpoint, *token = getenv("HF_TOKEN");
    int n = get_endpoint(&endpoint);
    return fail(status, "%.*s/%s: %s (HTTP %ld)", n, endpoint, s->hub.repository,
                token && *token ? "the repository is private or gated: accept its terms on that "
                                  "page, with the account that HF_TOKEN belongs to"
                                : "the repository is missing, private or gated: if its page asks "
                                  "for it, accept its terms and set HF_TOKEN",
                http_status);
}

static const char *get_revision(const origin *s) {
    return s->hub.revision[0] ? s->hub.revision : "main";
}

static hone_status ask_repository(const origin_job *job, hub_repository *r) {
    const origin *s = job->origin;
    const char *endpoint;
    char url[2048];
    int length = get_endpoint(&endpoint);
    int n = snprintf(url, sizeof url, "%.*s/api/models/%s/revision/%s?blobs=true", length, endpoint,
                     s->hub.repository, get_revision(s));
    if (n < 0 || (size_t)n >= sizeof url)
        return fail(HONE_ERR_ARGUMENT, "HF_ENDPOINT: the URL becomes too long");
    buf body;
    buf_init(&body, MAX_LISTING_BYTES);
    http_document document = {.url = url, .bearer_token = getenv("HF_TOKEN")};
    hone_status status = origin_get(job, &document, &body);
    if (status == HONE_ERR_NOT_FOUND)
        status = fail(status, "%s: no such repository or revision on the hub", s->text);
    else if (status != HONE_OK)
        status = explain(s, status, document.http_status);
    if (status == HONE_OK) status = hub_repository_parse(r, body.data, body.len, s->hub.repository);
    buf_release(&body);
    return status;
}

static hone_status list_hub(const origin_job *job, wanted_list *list) {
    hub_repository r;
    TRY(ask_repository(job, &r));
    hone_status status = hub_choose(&r, job->origin, list);
    hub_repository_release(&r);
    return status;
}

/* Percent-encodes what a path of origin_copy_path may hold and a URL may not. */
static void escape_path(char *out, const char *path) {
    for (; *path; path++) {
        if (strchr(" ()@=+", *path))
            out += sprintf(out, "%%%02X", (unsigned char)*path);
        else
            *out++ = *path;
    }
    *out = 0;
}

static hone_status fetch_hub(const origin_job *job, const char *path, sha256_hex *sha256) {
    const origin *s = job->origin;
    const char *endpoint;
    char url[4096], file[3 * sizeof s->hub.path];
    int length = get_endpoint(&endpoint);
    escape_path(file, s->hub.path);
    int n = snprintf(url, sizeof url, "%.*s/%s/resolve/%s/%s", length, endpoint, s->hub.repository,
                     get_revision(s), file);
    if (n < 0 || (size_t)n >= sizeof url)
        return fail(HONE_ERR_ARGUMENT, "HF_ENDPOINT: the URL becomes too long");
    http_download download = {.url = url, .path = path, .bearer_token = getenv("HF_TOKEN")};
    hone_status status = origin_download(job, &download, sha256);
    return status == HONE_OK ? status : explain(s, status, download.http_status);
}

const origin_type origin_hub = {.prefixes = {HUB_SHORT, HUB_HOST "/", "hf:"},
                                .parse = parse_hub,
                                .list = list_hub,
                                .fetch = fetch_hub,
                                .name = name_of_hub};
