/* What all kinds of sources have in common, and the plain URL. */
#include "weights/origin.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "weights/origin_int.h"

/* No model file is larger; it bounds what a server of unknown honesty can make us store. */
#define MAX_FILE_BYTES ((uint64_t)1 << 40)

/* In the order of origin_kind. */
static const origin_type *const types[] = {
    [ORIGIN_URL] = &origin_url, [ORIGIN_HUB] = &origin_hub,   [ORIGIN_OLLAMA] = &origin_ollama,
    [ORIGIN_PIP] = &origin_pip, [ORIGIN_PATH] = &origin_path,
};
enum { N_TYPES = sizeof types / sizeof *types };

/* --- parsing --- */

bool origin_copy_word(char *out, size_t size, const char *text, size_t n, const char *allowed) {
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

bool origin_copy_path(char *out, size_t size, const char *text, size_t n) {
    if (!origin_copy_word(out, size, text, n, "._-+ ()@=/")) return false;
    for (const char *name = out; name;) {
        size_t length = strcspn(name, "/");
        if (length == 0 || name[0] == '-' || (length == 1 && name[0] == '.') ||
            (length == 2 && memcmp(name, "..", 2) == 0))
            return false;
        name = name[length] ? name + length + 1 : NULL;
    }
    return true;
}

bool origin_take_file_name(origin *s, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return name[0] != '.' && origin_copy_path(s->file, sizeof s->file, name, strlen(name));
}

/* The kind that a text's beginning tells, and the rest of it; N_TYPES where it tells none. */
static size_t find_type(const char *text, const char **rest) {
    for (size_t i = 0; i < N_TYPES; i++) {
        for (const char *const *prefix = types[i]->prefixes; *prefix; prefix++) {
            size_t n = strlen(*prefix);
            *rest = text + n;
            if (strncasecmp(text, *prefix, n) == 0) return i;
        }
    }
    return N_TYPES;
}

bool origin_is_meant(const char *text) {
    const char *rest;
    size_t i = find_type(text, &rest);
    return (i < N_TYPES && i != ORIGIN_PATH) || strstr(text, "://") != NULL;
}

/* The address of a model's page, copied from a browser, stands for the model. */
static const char *without_scheme(const char *text) {
    const char *rest, *behind = text + strlen("https://");
    bool has_scheme = strncasecmp(text, "https://", strlen("https://")) == 0;
    size_t i = has_scheme ? find_type(behind, &rest) : N_TYPES;
    return i == ORIGIN_HUB || i == ORIGIN_OLLAMA ? behind : text;
}

hone_status origin_parse(origin *s, const char *text) {
    const char *rest;
    *s = (origin){0};
    text = without_scheme(text);
    size_t i = find_type(text, &rest);
    if (i == N_TYPES)
        return fail(HONE_ERR_ARGUMENT, "%.200s: no known kind of source (https:, hf.co/, "
                                       "ollama.com/, pip:, or a path)", text);
    if (strlen(text) >= sizeof s->text)
        return fail(HONE_ERR_ARGUMENT, "source longer than %zu bytes", sizeof s->text - 1);
    strcpy(s->text, text);
    s->kind = (origin_kind)i;
    return types[i]->parse(s, s->text + (rest - text));
}

/* --- names --- */

/* "TinyLlama-1.1B.Q4_K_M.gguf" becomes "tinyllama-1.1b.q4_k_m". */
hone_status origin_name_from_file(const origin *s, model_name *name) {
    char text[MODEL_NAME_MAX];
    size_t n = 0;
    for (const char *c = s->file; *c && n < 100; c++) {
        char letter = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        bool plain = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
        if (!plain && n == 0) continue; /* names begin with a letter or digit */
        text[n++] = plain || letter == '.' || letter == '_' ? letter : '-';
    }
    text[n] = 0;
    if (n > 5 && strcmp(text + n - 5, ".gguf") == 0) text[n -= 5] = 0;
    if (origin_count_split(s->file) > 1) text[n - strlen("-00001-of-00001")] = 0;
    if (text[0] == 0) strcpy(text, "model");
    return model_name_parse(name, text);
}

hone_status origin_model_name(const origin *s, model_name *name) {
    return types[s->kind]->name(s, name);
}

/* Q4_K_M, IQ4_XS, TQ1_0, F16, BF16, MXFP4 … */
static bool is_quant(const char *text, size_t n) {
    static const char *const plain[] = {"F16", "FP16", "BF16", "F32", "MXFP4"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strlen(plain[i]) == n && strncasecmp(text, plain[i], n) == 0) return true;
    size_t at = n > 1 && strchr("iItT", text[0]) ? 1 : 0;
    if (n < at + 2 || (text[at] != 'Q' && text[at] != 'q')) return false;
    if (!isdigit((unsigned char)text[at + 1])) return false;
    for (size_t i = at + 2; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_') return false;
    return true;
}

void origin_quant_of_file(char *quant, size_t size, const char *file) {
    size_t end = strlen(file);
    quant[0] = 0;
    if (end > 5 && strcasecmp(file + end - 5, ".gguf") == 0) end -= 5;
    while (end > 0) {
        size_t start = end;
        while (start > 0 && file[start - 1] != '-' && file[start - 1] != '.') start--;
        if (is_quant(file + start, end - start) && end - start < size) {
            for (size_t i = start; i < end; i++)
                quant[i - start] = (char)toupper((unsigned char)file[i]);
            quant[end - start] = 0;
            return;
        }
        end = start ? start - 1 : 0;
    }
}

hone_status origin_repository_name(const char *place, const char *repository, const char *file,
                                   model_name *name) {
    char text[512], tag[128];
    origin_quant_of_file(tag, sizeof tag, file);
    if (!tag[0]) {
        size_t n = strlen(file), i;
        if (n > 5 && strcasecmp(file + n - 5, ".gguf") == 0) n -= 5;
        for (i = 0; i < n && i + 1 < sizeof tag; i++)
            tag[i] = strchr(" ()@=+/", file[i]) ? '-' : file[i];
        tag[i] = 0;
    }
    snprintf(text, sizeof text, "%s%s%s%s", place, repository, *tag ? ":" : "", tag);
    return model_name_parse(name, text);
}

/* --- split files --- */

enum { SPLIT_END = sizeof "-00001-of-00001.gguf" - 1 };

size_t origin_count_split(const char *file) {
    size_t n = strlen(file);
    unsigned nth, count;
    int length = 0;
    if (n <= SPLIT_END) return 1;
    if (sscanf(file + n - SPLIT_END, "-%5u-of-%5u.gguf%n", &nth, &count, &length) != 2 ||
        length != SPLIT_END || nth < 1 || nth > count || count < 2 || count > ORIGIN_MAX_SPLIT)
        return 1;
    return count;
}

void origin_set_split(char *text, size_t nth) {
    char digits[8];
    snprintf(digits, sizeof digits, "%05u", (unsigned)(nth % 100000));
    memcpy(text + strlen(text) - SPLIT_END + 1, digits, 5);
}

/* --- model folders --- */

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcasecmp(text + n - m, end) == 0;
}

bool origin_is_folder_file(const char *name) {
    static const char *const endings[] = {".safetensors", ".json", ".jinja"};
    /* model.bin is CTranslate2's; pickles (pytorch_model.bin) are not taken. */
    static const char *const names[] = {"model.bin", "vocab.txt", "merges.txt", "vocabulary.txt",
                                        "tokenizer.model"};
    if (strchr(name, '/') || name[0] == '.' || ends_in(name, ".bin.index.json")) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0) return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(name, endings[i])) return true;
    return false;
}

/* --- lists --- */

void wanted_list_release(wanted_list *list) {
    mem_free(list->files);
    *list = (wanted_list){0};
}

wanted_file *wanted_list_add(wanted_list *list) {
    if (list->n == MANIFEST_MAX_FILES) {
        fail(HONE_ERR_FORMAT, "a model of more than %d files", MANIFEST_MAX_FILES);
        return NULL;
    }
    if (mem_grow(&list->files, &list->capacity, list->n + 1, sizeof *list->files,
                 "list of files") != HONE_OK)
        return NULL;
    wanted_file *file = &list->files[list->n++];
    *file = (wanted_file){.role = "model"};
    return file;
}

hone_status origin_list_itself(const origin_job *job, wanted_list *list) {
    wanted_file *file = wanted_list_add(list);
    if (!file) return HONE_ERR_MEMORY;
    strcpy(file->name, job->origin->file);
    strcpy(file->source, job->origin->text);
    return HONE_OK;
}

hone_status origin_list(const origin_job *job, wanted_list *list) {
    pull_event event = {.phase = PULL_ASKING, .source = job->origin->text};
    *list = (wanted_list){0};
    if (!origin_tell(job, &event)) return fail(HONE_ERR_CANCELLED, "cancelled");
    hone_status status = types[job->origin->kind]->list(job, list);
    if (status == HONE_OK && list->n == 0)
        status = fail(HONE_ERR_NOT_FOUND, "%s: no file there", job->origin->text);
    if (status != HONE_OK) wanted_list_release(list);
    return status;
}

/* --- fetching --- */

bool origin_tell(const origin_job *job, const pull_event *event) {
    return !job->observe || job->observe(job->context, event);
}

hone_status origin_fetch(const origin_job *job, const char *path, sha256_hex *sha256) {
    pull_event event = {.phase = PULL_ASKING, .source = job->origin->text};
    if (!origin_tell(job, &event)) return fail(HONE_ERR_CANCELLED, "cancelled");
    return types[job->origin->kind]->fetch(job, path, sha256);
}

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

hone_status origin_hash_file(const origin_job *job, const char *path, sha256_hex *sha256) {
    return sha256_of_file(sha256, path, on_hash, (void *)job);
}

hone_status origin_download(const origin_job *job, http_download *download, sha256_hex *sha256) {
    download->expected_bytes = job->expected_bytes;
    download->max_bytes = MAX_FILE_BYTES;
    download->contents_are_checked = job->contents_are_checked;
    download->answer_timeout_s = job->answer_timeout_s;
    download->stall_timeout_s = job->stall_timeout_s;
    download->observe = on_http;
    download->context = (void *)job;
    TRY(http_download_file(download));
    return origin_hash_file(job, download->path, sha256);
}

hone_status origin_get(const origin_job *job, http_document *document, buf *body) {
    document->answer_timeout_s = job->answer_timeout_s;
    document->observe = on_http;
    document->context = (void *)job;
    return http_get(document, body);
}

/* --- plain URLs --- */

static hone_status parse_url(origin *s, const char *rest) {
    char path[ORIGIN_MAX_TEXT];
    TRY(http_check_url(s->text));
    snprintf(path, sizeof path, "%.*s", (int)strcspn(rest, "?#"), rest);
    /* Escaped or unusual names are fine in a URL, but do not name files here. */
    if (!strchr(path, '/') || !origin_take_file_name(s, path)) strcpy(s->file, "model");
    return HONE_OK;
}

/* The parts of a split file lie side by side. With a query nobody knows what to ask for. */
static hone_status list_url(const origin_job *job, wanted_list *list) {
    const origin *s = job->origin;
    size_t n = strpbrk(s->text, "?#") ? 1 : origin_count_split(s->file);
    for (size_t nth = 1; nth <= n; nth++) {
        TRY(origin_list_itself(job, list));
        if (n == 1) break;
        origin_set_split(list->files[nth - 1].name, nth);
        origin_set_split(list->files[nth - 1].source, nth);
    }
    return HONE_OK;
}

static hone_status fetch_url(const origin_job *job, const char *path, sha256_hex *sha256) {
    http_download download = {.url = job->origin->text, .path = path};
    return origin_download(job, &download, sha256);
}

const origin_type origin_url = {.prefixes = {"https://", "http://"},
                                .parse = parse_url,
                                .list = list_url,
                                .fetch = fetch_url,
                                .name = origin_name_from_file};
