/* Models that lie on this machine already: they are taken into the store by name and used in
 * place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "weights/origin_int.h"

static hone_status parse_path(origin *s, const char *rest) {
    char typed[ORIGIN_MAX_TEXT + 512], *full;
    (void)rest;
    const char *home = getenv("HOME");
    bool in_home = s->text[0] == '~' && home;
    snprintf(typed, sizeof typed, "%.500s%s", in_home ? home : "", s->text + in_home);
    full = realpath(typed, NULL);
    if (!full)
        return fail(errno == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s", s->text,
                    strerror(errno));
    size_t n = strlen(full);
    if (n < sizeof s->text) strcpy(s->text, full);
    free(full);
    const char *name = strrchr(s->text, '/') + 1;
    if (n >= sizeof s->text || strlen(name) >= sizeof s->file)
        return fail(HONE_ERR_ARGUMENT, "%.200s…: path too long", s->text);
    strcpy(s->file, *name ? name : "model");
    return HONE_OK;
}

static hone_status add_file(const char *path, wanted_list *list) {
    struct stat st;
    wanted_file *file = wanted_list_add(list);
    if (!file) return HONE_ERR_MEMORY;
    const char *name = strrchr(path, '/') + 1;
    if (stat(path, &st) != 0) return fail(HONE_ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return fail(HONE_ERR_IO, "%s: not a regular file", path);
    if (strlen(path) >= sizeof file->source || strlen(name) >= sizeof file->name)
        return fail(HONE_ERR_ARGUMENT, "%.200s…: path too long", path);
    strcpy(file->source, path);
    strcpy(file->name, name);
    file->bytes = (uint64_t)st.st_size;
    return HONE_OK;
}

static hone_status add_folder_file(void *context, const char *path, const char *name) {
    return origin_is_folder_file(name) ? add_file(path, context) : HONE_OK;
}

static hone_status add_folder(const char *folder, wanted_list *list) {
    TRY(fs_each(folder, add_folder_file, list));
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->files[i].name, "config.json") == 0) return HONE_OK;
    return fail(HONE_ERR_NOT_FOUND, "%s: no model folder: there is no config.json", folder);
}

static hone_status list_path(const origin_job *job, wanted_list *list) {
    const origin *s = job->origin;
    struct stat st;
    char part[ORIGIN_MAX_TEXT];
    if (stat(s->text, &st) == 0 && S_ISDIR(st.st_mode)) return add_folder(s->text, list);
    size_t n = origin_count_split(s->file);
    strcpy(part, s->text);
    for (size_t nth = 1; nth <= n; nth++) {
        if (n > 1) origin_set_split(part, nth);
        TRY(add_file(part, list));
    }
    return HONE_OK;
}

/* Nothing is copied: the file stays where it is. */
static hone_status fetch_path(const origin_job *job, const char *path, sha256_hex *sha256) {
    (void)path;
    return origin_hash_file(job, job->origin->text, sha256);
}

const origin_type origin_path = {.prefixes = {"/", "./", "../", "~/"},
                                 .parse = parse_path,
                                 .list = list_path,
                                 .fetch = fetch_path,
                                 .name = origin_name_from_file};
