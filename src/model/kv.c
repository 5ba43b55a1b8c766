#include "model/kv.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/blocks.h"

/* The header takes one cache line, so that the rows behind it stay aligned. */
struct kv_page {
    _Alignas(64) atomic_int n_owners;
    _Alignas(64) uint8_t rows[];
};

hone_status kv_layout_init(kv_layout *l, dtype type, size_t n_layers, size_t n_kv_heads,
                           size_t head_dim) {
    kv_layout made = {.type = type, .n_layers = n_layers, .n_kv_heads = n_kv_heads,
                      .head_dim = head_dim};
    if (!dtype_row_bytes(type, head_dim, &made.row_bytes))
        return fail(HONE_ERR_UNSUPPORTED, "a %s cache needs heads of a multiple of %d elements; "
                    "these have %zu", dtype_get(type)->name, dtype_get(type)->block, head_dim);
    made.page_bytes = n_layers * 2 * n_kv_heads * KV_PAGE * made.row_bytes;
    *l = made;
    return HONE_OK;
}

void kv_init(kv_cache *c, const kv_layout *layout) { *c = (kv_cache){.layout = *layout}; }

static void page_release(kv_page *page) {
    if (atomic_fetch_sub(&page->n_owners, 1) == 1) mem_free(page);
}

static hone_status page_open(kv_page **out, const kv_layout *l) {
    kv_page *page = mem_alloc_aligned(1, sizeof *page + l->page_bytes);
    if (!page) return mem_fail("key/value cache page", l->page_bytes);
    memset(page->rows, 0, l->page_bytes);
    atomic_init(&page->n_owners, 1);
    *out = page;
    return HONE_OK;
}

void kv_release(kv_cache *c) {
    kv_truncate(c, 0);
    mem_free(c->pages);
    *c = (kv_cache){0};
}

static size_t pages_for(size_t n_positions) { return (n_positions + KV_PAGE - 1) / KV_PAGE; }

static hone_status reserve_table(kv_cache *c, size_t n_pages) {
    return mem_grow(&c->pages, &c->capacity, n_pages, sizeof *c->pages, "key/value page table");
}

hone_status kv_share(kv_cache *to, const kv_cache *from, size_t n_positions) {
    size_t n_pages = pages_for(n_positions);
    kv_init(to, &from->layout);
    TRY(reserve_table(to, n_pages));
    for (size_t i = 0; i < n_pages; i++) {
        to->pages[i] = from->pages[i];
        atomic_fetch_add(&to->pages[i]->n_owners, 1);
    }
    to->n_pages = n_pages;
    return HONE_OK;
}

static hone_status make_unshared(kv_cache *c, size_t i) {
    if (atomic_load(&c->pages[i]->n_owners) == 1) return HONE_OK;
    kv_page *copy = NULL;
    TRY(page_open(&copy, &c->layout));
    memcpy(copy->rows, c->pages[i]->rows, c->layout.page_bytes);
    page_release(c->pages[i]);
    c->pages[i] = copy;
    return HONE_OK;
}

hone_status kv_reserve(kv_cache *c, size_t begin, size_t end) {
    size_t n_pages = pages_for(end);
    TRY(reserve_table(c, n_pages));
    for (size_t i = begin / KV_PAGE; i < c->n_pages && i < n_pages; i++) TRY(make_unshared(c, i));
    for (; c->n_pages < n_pages; c->n_pages++) TRY(page_open(&c->pages[c->n_pages], &c->layout));
    return HONE_OK;
}

void kv_truncate(kv_cache *c, size_t n_positions) {
    while (c->n_pages > pages_for(n_positions)) page_release(c->pages[--c->n_pages]);
}

size_t kv_page_bytes(const kv_layout *l) { return sizeof(kv_page) + l->page_bytes; }

size_t kv_bytes(const kv_cache *c) { return c->n_pages * c->layout.page_bytes; }

size_t kv_owned_bytes(const kv_cache *c) {
    size_t bytes = 0;
    for (size_t i = 0; i < c->n_pages; i++)
        bytes += c->layout.page_bytes / (size_t)atomic_load(&c->pages[i]->n_owners);
    return bytes;
}

void *kv_block(const kv_cache *c, size_t page, size_t layer, int which, size_t head) {
    const kv_layout *l = &c->layout;
    size_t block = (layer * 2 + (size_t)which) * l->n_kv_heads + head;
    return c->pages[page]->rows + block * KV_BLOCK * l->row_bytes;
}

/* to[i · KV_BLOCK] = from[i] for n elements of `bytes` bytes. */
static void write_column(uint8_t *to, const uint8_t *from, size_t n, const size_t bytes) {
    for (size_t i = 0; i < n; i++) memcpy(to + i * KV_BLOCK * bytes, from + i * bytes, bytes);
}

static void write_q8_0(const kv_layout *l, uint8_t *block, size_t i, int which, const void *row) {
    const block_q8_0 *from = row;
    uint8_t *scales = block + l->head_dim * KV_BLOCK;
    for (size_t g = 0; g < l->head_dim / 32; g++) {
        if (which == KV_KEYS)
            write_column(block + 32 * g * KV_BLOCK + i, (const uint8_t *)from[g].qs, 32, 1);
        else
            memcpy(block + i * l->head_dim + 32 * g, from[g].qs, 32);
        memcpy(scales + 2 * (g * KV_BLOCK + i), &from[g].d, 2);
    }
}

void kv_write(kv_cache *c, size_t position, size_t layer, int which, size_t head,
              const void *row) {
    const kv_layout *l = &c->layout;
    uint8_t *block = kv_block(c, position / KV_PAGE, layer, which, head);
    size_t i = position % KV_PAGE;
    if (l->type == DTYPE_Q8_0)
        write_q8_0(l, block, i, which, row);
    else if (which == KV_VALUES)
        memcpy(block + i * l->row_bytes, row, l->row_bytes);
    else if (l->type == DTYPE_F16)
        write_column(block + 2 * i, row, l->head_dim, 2);
    else
        write_column(block + 4 * i, row, l->head_dim, 4);
}
