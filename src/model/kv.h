/* The key/value cache: pages of KV_PAGE positions, shared by reference between forks.
 *
 * A page holds all layers: for each layer first the keys, then the values, each as n_kv_heads
 * blocks (KV_BLOCK in tensor/kernels.h says how a block lies). A page with more than one owner is
 * copied before it is written. Positions that were never written hold zeros. */
#ifndef MODEL_KV_H
#define MODEL_KV_H

#include "base/status.h"
#include "tensor/kernels.h"

#define KV_PAGE KV_BLOCK

typedef struct kv_layout {
    dtype type; /* F32, F16 or Q8_0 */
    size_t n_layers, n_kv_heads, head_dim;
    size_t row_bytes, page_bytes;
} kv_layout;

/* HONE_ERR_UNSUPPORTED when Q8_0 does not divide head_dim. */
hone_status kv_layout_init(kv_layout *l, dtype type, size_t n_layers, size_t n_kv_heads,
                           size_t head_dim);

typedef struct kv_page kv_page;

typedef struct kv_cache {
    kv_layout layout;
    kv_page **pages;
    size_t n_pages, capacity;
} kv_cache;

void kv_init(kv_cache *c, const kv_layout *layout);
void kv_release(kv_cache *c);

/* `to` becomes a second owner of the pages that hold positions below n_positions. */
hone_status kv_share(kv_cache *to, const kv_cache *from, size_t n_positions);

/* Makes positions begin … end − 1 writable: adds pages, copies shared ones. On failure the
 * positions below `begin` are untouched. */
hone_status kv_reserve(kv_cache *c, size_t begin, size_t end);

/* Gives back the pages that hold no position below n_positions. */
void kv_truncate(kv_cache *c, size_t n_positions);

size_t kv_bytes(const kv_cache *c);
/* The same, with a page of k owners counted as a k-th. */
size_t kv_owned_bytes(const kv_cache *c);
/* Memory of one page, its header included. */
size_t kv_page_bytes(const kv_layout *l);

enum { KV_KEYS = 0, KV_VALUES = 1 };

/* One head's keys or values of a page. Caches that share the page get the same pointer. */
void *kv_block(const kv_cache *c, size_t page, size_t layer, int which, size_t head);

/* Puts a row of row_bytes, made by the kernels' store_row, to its place. */
void kv_write(kv_cache *c, size_t position, size_t layer, int which, size_t head, const void *row);

#endif
