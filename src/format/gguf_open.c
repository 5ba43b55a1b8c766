/* Files on the disk: mapping, and joining the parts of a split file.
 *
 * Part i of n is named <prefix>-%05d-of-%05d.gguf, i from 1, and is a complete GGUF file with
 * split.no = i − 1 and split.count = n. The first holds the model's keys; those of the others say
 * nothing new and are not read. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf_int.h"

#define PART_SUFFIX_BYTES (sizeof "-00000-of-00000.gguf" - 1)
#define MAX_PARTS 65535 /* split.count is a u16 */

static hone_status open_part(gguf **out, const char *path) {
    file_map *map = mem_calloc(1, sizeof *map);
    if (!map) return mem_fail("file map", sizeof *map);
    hone_status status = file_map_open(map, path);
    if (status == HONE_OK) status = gguf_parse(out, map->data, map->size, path, true);
    if (status != HONE_OK) {
        file_map_release(map);
        mem_free(map);
        return status;
    }
    (*out)->maps = map;
    (*out)->n_maps = 1;
    return HONE_OK;
}

/* Moves the part's tensors and its mapping to the end of `whole`. */
static hone_status absorb_part(gguf *whole, gguf *part) {
    size_t n_tensors = whole->n_tensors + part->n_tensors;
    if (n_tensors > GGUF_MAX_TENSORS)
        return fail(HONE_ERR_FORMAT, "more than %d tensors", GGUF_MAX_TENSORS);
    file_map *maps = mem_realloc(whole->maps, whole->n_maps + 1, sizeof *maps);
    if (!maps) return mem_fail("file maps", (whole->n_maps + 1) * sizeof *maps);
    whole->maps = maps;
    gguf_tensor *tensors = mem_realloc(whole->tensors, n_tensors, sizeof *tensors);
    if (!tensors) return mem_fail("tensors", n_tensors * sizeof *tensors);
    whole->tensors = tensors;

    for (size_t i = 0; i < part->n_tensors; i++) {
        gguf_tensor t = part->tensors[i];
        bool was_there;
        t.file = (uint32_t)whole->n_maps;
        TRY(strmap_insert(&whole->tensor_names, t.name.data, t.name.n,
                          (uint32_t)(whole->n_tensors + i), &was_there));
        if (was_there)
            return fail(HONE_ERR_FORMAT, "tensor '%.*s' is in an earlier part too",
                        gguf_shown(t.name), t.name.data);
        tensors[whole->n_tensors + i] = t;
    }
    whole->n_tensors = n_tensors;
    maps[whole->n_maps++] = part->maps[0];
    part->n_maps = 0;
    whole->bytes += part->bytes;
    return HONE_OK;
}

static hone_status check_part(const gguf *part, size_t index, size_t n_parts) {
    uint64_t no = 0, count = 0;
    if (!gguf_get_u64(part, "split.no", &no) || !gguf_get_u64(part, "split.count", &count))
        return fail(HONE_ERR_FORMAT, "no keys split.no and split.count");
    if (no != index || count != n_parts)
        return fail(HONE_ERR_FORMAT, "split.no %llu of %llu, expected %zu of %zu",
                    (unsigned long long)no, (unsigned long long)count, index, n_parts);
    return HONE_OK;
}

static hone_status join_part(gguf **whole, const char *path, size_t index, size_t n_parts) {
    gguf *part;
    hone_status status = open_part(&part, path);
    if (status != HONE_OK)
        return fail_context(status, "part %zu of %zu", index + 1, n_parts);
    status = check_part(part, index, n_parts);
    if (status == HONE_OK && index == 0) {
        *whole = part;
        return HONE_OK;
    }
    if (status == HONE_OK) status = absorb_part(*whole, part);
    gguf_close(part);
    return status == HONE_OK ? HONE_OK : fail_context(status, "%s", path);
}

static hone_status check_total(const gguf *whole, const char *path) {
    uint64_t total;
    if (gguf_get_u64(whole, "split.tensors.count", &total) && total != whole->n_tensors)
        return fail(HONE_ERR_FORMAT, "%s: %zu tensors in all parts, split.tensors.count says %llu",
                    path, whole->n_tensors, (unsigned long long)total);
    return HONE_OK;
}

static void write_suffix(char out[PART_SUFFIX_BYTES + 1], uint16_t part, uint16_t n_parts) {
    snprintf(out, PART_SUFFIX_BYTES + 1, "-%05hu-of-%05hu.gguf", part, n_parts);
}

/* Whether the name's end is that of one of n_parts parts. */
static bool is_part_suffix(const char *suffix, uint16_t n_parts) {
    char expected[PART_SUFFIX_BYTES + 1];
    uint16_t part;
    if (sscanf(suffix, "-%5hu-of-", &part) != 1 || part < 1 || part > n_parts) return false;
    write_suffix(expected, part, n_parts);
    return strcmp(suffix, expected) == 0;
}

static hone_status open_parts(gguf **out, const char *path, uint16_t n_parts) {
    size_t n = strlen(path);
    if (n < PART_SUFFIX_BYTES || !is_part_suffix(path + n - PART_SUFFIX_BYTES, n_parts))
        return fail(HONE_ERR_FORMAT,
                    "%s: one of %u parts, but its name does not end in -00001-of-%05u.gguf or the "
                    "like: the others cannot be found",
                    path, n_parts, n_parts);
    char *part_path = mem_copy_string(path, n);
    if (!part_path) return mem_fail("file name", n);
    hone_status status = HONE_OK;
    gguf *whole = NULL;
    for (uint16_t i = 0; i < n_parts && status == HONE_OK; i++) {
        write_suffix(part_path + n - PART_SUFFIX_BYTES, i + 1, n_parts);
        status = join_part(&whole, part_path, i, n_parts);
    }
    mem_free(part_path);
    if (status == HONE_OK) status = check_total(whole, path);
    if (status != HONE_OK) {
        gguf_close(whole);
        return status;
    }
    *out = whole;
    return HONE_OK;
}

static hone_status check_readable(const gguf *file, const char *path) {
    for (size_t i = 0; i < file->n_tensors; i++) {
        const gguf_tensor *t = &file->tensors[i];
        const dtype_traits *traits = dtype_get(t->view.type);
        if (traits->block_bytes == 0)
            return fail(HONE_ERR_UNSUPPORTED, "%s: tensor '%.*s': hone cannot read type %s", path,
                        gguf_shown(t->name), t->name.data, traits->name);
    }
    return HONE_OK;
}

hone_status gguf_open(gguf **out, const char *path) {
    gguf *file;
    uint64_t n_parts = 1;
    TRY(open_part(&file, path));
    hone_status status = HONE_OK;
    gguf_get_u64(file, "split.count", &n_parts);
    if (n_parts > MAX_PARTS) {
        status = fail(HONE_ERR_FORMAT, "%s: split.count is %llu, at most %d", path,
                      (unsigned long long)n_parts, MAX_PARTS);
    } else if (n_parts > 1) {
        gguf_close(file);
        file = NULL;
        status = open_parts(&file, path, (uint16_t)n_parts);
    }
    if (status == HONE_OK) status = check_readable(file, path);
    if (status != HONE_OK) {
        gguf_close(file);
        return status;
    }
    *out = file;
    return HONE_OK;
}
