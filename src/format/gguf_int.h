/* What the gguf_*.c files share. Everybody else includes gguf.h. */
#ifndef FORMAT_GGUF_INT_H
#define FORMAT_GGUF_INT_H

#include "base/file_map.h"
#include "base/strmap.h"
#include "format/gguf.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers and weights are used as they lie in the file");

#define GGUF_MAGIC "GGUF"
#define GGUF_DEFAULT_ALIGNMENT 32
#define GGUF_MAX_ALIGNMENT 65536
#define GGUF_ALIGNMENT_KEY "general.alignment"
#define GGUF_MAX_KEY_BYTES 65535
#define GGUF_MAX_TENSOR_NAME_BYTES 63
#define GGUF_MAX_KEYS 65536
#define GGUF_MAX_TENSORS 1000000

struct gguf {
    gguf_kv *kvs;
    gguf_tensor *tensors;
    size_t n_kvs, n_tensors;
    strmap keys, tensor_names; /* name → index */
    uint32_t version;
    size_t bytes;
    file_map *maps; /* what gguf_open mapped; none after gguf_parse */
    size_t n_maps;
};

/* Bytes of one element; 0 for strings, arrays and numbers that are no type. */
size_t gguf_type_bytes(uint32_t type);

/* A power of two up to GGUF_MAX_ALIGNMENT. */
bool gguf_alignment_is_valid(uint32_t alignment);

/* The next multiple of `alignment` (a power of two); false when it does not fit. */
bool gguf_align(size_t offset, size_t alignment, size_t *aligned);

/* For "%.*s" in error sentences: the length of a prefix that stays readable. */
int gguf_shown(gguf_string text);

/* HONE_ERR_FORMAT unless 1 to max_bytes bytes of UTF-8 without NUL. `what` names the thing. */
hone_status gguf_check_name(gguf_string name, size_t max_bytes, const char *what);

#endif
