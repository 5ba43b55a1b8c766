#include "model/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define MAX_CONFIG_BYTES (16u << 20)

static hone_status open_folder(model_source *s, const char *path) {
    buf name;
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

hone_status source_open(model_source *s, const char *path) {
    *s = (model_source){0};
    s->path = mem_copy_string(path, strlen(path));
    if (!s->path) return mem_fail("path", strlen(path));
    struct stat st;
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    hone_status status = is_folder ? open_folder(s, path) : gguf_open(&s->gguf, path);
    if (status != HONE_OK) source_release(s);
    return status;
}

void source_release(model_source *s) {
    gguf_close(s->gguf);
    safetensors_close(s->folder);
    json_decref(s->config);
    mem_free(s->path);
    *s = (model_source){0};
}

size_t source_file_bytes(const model_source *s) {
    return s->gguf ? gguf_file_bytes(s->gguf) : safetensors_file_bytes(s->folder);
}

void source_forget(const model_source *s) {
    if (s->gguf) gguf_forget(s->gguf);
    else safetensors_forget(s->folder);
}

/* --- names --- */

static const struct {
    const char *gguf, *folder;
} top_names[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
}, layer_names[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

enum { N_TOP_NAMES = sizeof top_names / sizeof *top_names,
       N_LAYER_NAMES = sizeof layer_names / sizeof *layer_names };

/* "<prefix>7.": the number and what stands behind its point. False for other texts, and for numbers
 * that nobody writes so ("07"). */
static bool split_layer(const char *name, const char *prefix, unsigned *layer, const char **rest) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0) return false;
    size_t digits = strspn(name + n, "0123456789");
    if (digits == 0 || digits > 6) return false;
    if (name[n] == '0' && digits > 1) return false;
    *layer = (unsigned)strtoul(name + n, NULL, 10);
    *rest = name + n + digits + 1;
    return name[n + digits] == '.';
}

bool source_folder_name(const char *gguf_name, char *out, size_t n) {
    unsigned layer;
    const char *rest;
    for (size_t i = 0; i < N_TOP_NAMES; i++)
        if (strcmp(gguf_name, top_names[i].gguf) == 0)
            return (size_t)snprintf(out, n, "%s", top_names[i].folder) < n;
    if (!split_layer(gguf_name, "blk.", &layer, &rest)) return false;
    for (size_t i = 0; i < N_LAYER_NAMES; i++) {
        size_t length = strlen(layer_names[i].gguf);
        if (strncmp(rest, layer_names[i].gguf, length) == 0 && rest[length] == '.')
            return (size_t)snprintf(out, n, "model.layers.%u.%s%s", layer, layer_names[i].folder,
                                    rest + length) < n;
    }
    return false;
}

bool source_gguf_name(const char *folder_name, char *out, size_t n) {
    unsigned layer;
    const char *rest;
    for (size_t i = 0; i < N_TOP_NAMES; i++)
        if (strcmp(folder_name, top_names[i].folder) == 0)
            return (size_t)snprintf(out, n, "%s", top_names[i].gguf) < n;
    if (!split_layer(folder_name, "model.layers.", &layer, &rest)) return false;
    for (size_t i = 0; i < N_LAYER_NAMES; i++) {
        size_t length = strlen(layer_names[i].folder);
        if (strncmp(rest, layer_names[i].folder, length) == 0 && rest[length] == '.')
            return (size_t)snprintf(out, n, "blk.%u.%s%s", layer, layer_names[i].gguf,
                                    rest + length) < n;
    }
    return false;
}

/* --- tensors --- */

bool source_find(const model_source *s, const char *gguf_name, tensor *view) {
    if (s->gguf) {
        const gguf_tensor *found = gguf_find_tensor(s->gguf, gguf_name);
        if (found) *view = found->view;
        return found != NULL;
    }
    char name[128];
    if (!source_folder_name(gguf_name, name, sizeof name)) return false;
    const safetensors_entry *found = safetensors_find(s->folder, name);
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

void source_each(const model_source *s, void (*each)(void *user, const tensor *view, size_t bytes),
                 void *user) {
    size_t n = s->gguf ? gguf_n_tensors(s->gguf) : safetensors_count(s->folder);
    for (size_t i = 0; i < n; i++) {
        if (s->gguf) {
            const gguf_tensor *t = gguf_tensor_at(s->gguf, i);
            each(user, &t->view, t->bytes);
        } else {
            const safetensors_entry *t = safetensors_at(s->folder, i);
            each(user, &t->view, t->bytes);
        }
    }
}
