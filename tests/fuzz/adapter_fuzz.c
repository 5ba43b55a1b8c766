/* The first byte chooses the form. GGUF: the rest is the file. PEFT: two bytes say how long the
 * config is, then the config, then the safetensors. What is accepted is bound to a small base. */
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "model/lora.h"
#include "model_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static model_source base;
static hparams numbers;

static void open_base(void) {
    test_folder folder = test_folder_make();
    model_recipe r = {.type = DTYPE_Q8_0};
    const char *path = test_path(folder.path, "base.gguf");
    if (model_write_gguf(&r, path) != HONE_OK || source_open(&base, path) != HONE_OK ||
        hparams_read(&numbers, &base) != HONE_OK)
        abort();
    test_folder_remove(&folder);
}

static void bind(const lora_file *f) {
    lora *l;
    float row[256] = {0};
    for (size_t i = 0; i < f->n_pairs; i++)
        if (!f->pairs[i].a.data || !f->pairs[i].b.data) abort();
    if (lora_open(&l, f, &base, &numbers) != HONE_OK) return;
    for (size_t i = 0; i < f->n_pairs; i++) {
        const lora_module *m = lora_find(l, f->pairs[i].name);
        if (!m || m->n_in > 256) abort();
        lora_add_to_row(m, 1, m->n_out - 1, row);
    }
    lora_release(l);
}

static void read_gguf(lora_file *f, const uint8_t *data, size_t size) {
    if (gguf_parse(&f->gguf, data, size, "input", true) != HONE_OK) return;
    if (lora_file_read_gguf(f, f->gguf) == HONE_OK) bind(f);
}

static void read_peft(lora_file *f, const uint8_t *data, size_t size) {
    uint16_t n;
    if (size < sizeof n) return;
    memcpy(&n, data, sizeof n);
    data += sizeof n, size -= sizeof n;
    if (n > size || json_parse(&f->config, (const char *)data, n, "config") != HONE_OK) return;
    if (safetensors_parse(&f->weights, data + n, size - n, "weights") != HONE_OK) return;
    if (lora_file_read_peft(f, f->config, f->weights) == HONE_OK) bind(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    lora_file f = {.path = mem_copy_string("input", 5)};
    if (!base.path) open_base();
    if (size > 0) (input[0] & 1 ? read_peft : read_gguf)(&f, input + 1, size - 1);
    lora_file_release(&f);
    return 0;
}
