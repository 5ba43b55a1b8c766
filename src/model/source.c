#include "model/source.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "format/pytorch.h"
#include "format/whisper_ggml.h"
#include "model/whisper_files.h"

#define MAX_CONFIG_BYTES (16u << 20)

static bool has_file(const char *folder, const char *name) {
    char path[4096];
    struct stat st;
    return (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path &&
           stat(path, &st) == 0;
}

static hone_status open_folder(model_source *s, const char *path) {
    buf name;
    if (has_file(path, "model.bin") && !has_file(path, "model.safetensors"))
        return source_open_ct2(s);
    buf_init(&name, 65536);
    hone_status status = buf_add_format(&name, "%s/config.json", path);
    if (status == HONE_OK) status = json_parse_file(&s->config, name.data, MAX_CONFIG_BYTES);
    buf_release(&name);
    if (status == HONE_ERR_NOT_FOUND)
        return fail(HONE_ERR_FORMAT, "%s: a folder without config.json is not a model folder",
                    path);
    TRY(status);
    if (!json_is_object(s->config))
        return fail(HONE_ERR_FORMAT, "%s/config.json: an object was expected", path);
    return safetensors_open(&s->folder, path);
}

/* Files are known by their first bytes; what is none of the others is a GGUF file or an error. */
static hone_status open_file(model_source *s) {
    file_map map;
    TRY(file_map_open(&map, s->path));
    bool checkpoint = pytorch_is(map.data, map.size);
    if (!checkpoint && !whisper_ggml_is(map.data, map.size)) {
        file_map_release(&map);
        return gguf_open(&s->gguf, s->path);
    }
    hone_status status = checkpoint ? source_open_pytorch(s, &map)
                                    : source_open_whisper_ggml(s, &map);
    if (s->raw) tensor_table_keep_map(s->raw, &map);
    else file_map_release(&map);
    return status;
}

hone_status source_open(model_source *s, const char *path) {
    *s = (model_source){0};
    s->path = mem_copy_string(path, strlen(path));
    if (!s->path) return mem_fail("path", strlen(path));
    struct stat st;
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    hone_status status = is_folder ? open_folder(s, path) : open_file(s);
    if (status != HONE_OK) source_release(s);
    return status;
}

void source_release(model_source *s) {
    gguf_close(s->gguf);
    safetensors_close(s->folder);
    tensor_table_close(s->table);
    tensor_table_close(s->raw);
    ranked_texts_release(&s->texts);
    json_decref(s->config);
    mem_free(s->path);
    *s = (model_source){0};
}

size_t source_file_bytes(const model_source *s) {
    if (s->raw) return tensor_table_map(s->raw)->size;
    return s->gguf ? gguf_file_bytes(s->gguf) : safetensors_file_bytes(s->folder);
}

size_t source_table_bytes(const model_source *s) {
    if (s->gguf)
        return gguf_n_tensors(s->gguf) * (sizeof(gguf_tensor) + 2 * sizeof(strmap_slot)) +
               gguf_n_kv(s->gguf) * sizeof(gguf_kv);
    if (s->table)
        return tensor_table_count(s->table) * (sizeof(named_tensor) + 2 * sizeof(strmap_slot));
    /* the header stays as JSON values: two arrays, an object, four numbers and a text */
    return safetensors_count(s->folder) * (sizeof(safetensors_entry) + 1000);
}

hone_status source_take_in(model_source *s) {
    if (s->raw) return tensor_table_take_in(s->raw);
    return s->gguf ? gguf_take_in(s->gguf) : safetensors_take_in(s->folder);
}

void source_forget(const model_source *s) {
    if (s->raw) file_map_forget(tensor_table_map(s->raw));
    else if (s->gguf) gguf_forget(s->gguf);
    else safetensors_forget(s->folder);
}

hone_status source_tokenizer(const model_source *s, tokenizer_spec *spec) {
    if (s->gguf) return tokenizer_spec_from_gguf(spec, s->gguf, s->path);
    if (s->texts.n == 0) return tokenizer_spec_from_folder(spec, s->path);
    return tokenizer_spec_from_whisper_ranks(spec, &s->texts, source_whisper_vocabulary(s),
                                             s->path);
}

/* --- tensors --- */

bool source_find(const model_source *s, const char *gguf_name, tensor *view) {
    if (s->gguf) {
        const gguf_tensor *found = gguf_find_tensor(s->gguf, gguf_name);
        if (found) *view = found->view;
        return found != NULL;
    }
    if (s->table) {
        const named_tensor *found = tensor_table_find(s->table, gguf_name);
        if (found) *view = found->view;
        return found != NULL;
    }
    char name[SOURCE_MAX_NAME];
    const safetensors_entry *found = NULL;
    for (size_t i = 0; !found && source_folder_name(gguf_name, i, name, sizeof name); i++)
        found = safetensors_find(s->folder, name);
    if (found) *view = found->view;
    return found != NULL;
}

/* "[2048, 576]" in PyTorch's order. */
static const char *shape_text(const tensor *view, char *out, size_t n) {
    size_t used = (size_t)snprintf(out, n, "[");
    for (uint32_t i = view->n_dims; i > 0 && used < n; i--)
        used += (size_t)snprintf(out + used, n - used, "%zu%s", view->ne[i - 1], i > 1 ? ", " : "");
    if (used < n) snprintf(out + used, n - used, "]");
    return out;
}

hone_status source_tensor(const model_source *s, const char *gguf_name, size_t n_out, size_t n_in,
                          tensor *view) {
    tensor found;
    if (!source_find(s, gguf_name, &found))
        return fail(HONE_ERR_FORMAT, "%s: tensor %s is missing", s->path, gguf_name);
    uint32_t n_dims = n_out ? 2 : 1;
    size_t rows = found.n_dims > 1 ? found.ne[1] : 0;
    if (found.n_dims != n_dims || found.ne[0] != n_in || rows != n_out) {
        char have[96], want[96];
        tensor expected = {.n_dims = n_dims, .ne = {n_in, n_out}};
        return fail(HONE_ERR_FORMAT, "%s: tensor %s has shape %s, expected %s", s->path, gguf_name,
                    shape_text(&found, have, sizeof have),
                    shape_text(&expected, want, sizeof want));
    }
    if (!dtype_get(found.type)->is_weight) {
        const char *type = dtype_get(found.type)->name;
        return fail(HONE_ERR_UNSUPPORTED,
                    "%s: tensor %s has type %s, which hone cannot compute with",
                    s->path, gguf_name, type ? type : "unknown");
    }
    *view = found;
    return HONE_OK;
}

void source_each(const model_source *s,
                 void (*each)(void *user, gguf_string name, const tensor *view, size_t bytes),
                 void *user) {
    for (size_t i = 0; s->gguf && i < gguf_n_tensors(s->gguf); i++) {
        const gguf_tensor *t = gguf_tensor_at(s->gguf, i);
        each(user, t->name, &t->view, t->bytes);
    }
    for (size_t i = 0; s->folder && i < safetensors_count(s->folder); i++) {
        const safetensors_entry *t = safetensors_at(s->folder, i);
        each(user, (gguf_string){t->name, strlen(t->name)}, &t->view, t->bytes);
    }
    for (size_t i = 0; s->table && i < tensor_table_count(s->table); i++) {
        const named_tensor *t = tensor_table_at(s->table, i);
        each(user, (gguf_string){t->name, strlen(t->name)}, &t->view, t->bytes);
    }
}
