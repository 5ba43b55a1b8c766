/* `hone show`: what a model is, and the memory it needs. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/show_losses.h"
#include "cli/show_store.h"
#include "cli/tensor_classes.h"

/* Weights of one type. */
typedef struct type_row {
    char name[16];
    size_t n_tensors;
    uint64_t n_bytes;
} type_row;

typedef struct type_list {
    type_row rows[64]; /* more types than formats have */
    size_t n;
} type_list;

static void add_type(void *user, const char *type, size_t n_tensors, uint64_t n_bytes) {
    type_list *list = user;
    if (list->n == sizeof list->rows / sizeof *list->rows) return;
    type_row *row = &list->rows[list->n++];
    snprintf(row->name, sizeof row->name, "%s", type);
    row->n_tensors = n_tensors;
    row->n_bytes = n_bytes;
}

typedef struct memory_need {
    size_t context;
    hone_kv_type kv;
    hone_memory bytes;
} memory_need;

/* A speech model's needs are not counted yet: its weights stand for all. */
static hone_status count_memory(memory_need *need, const hone_model *model,
                                const engine_settings *settings, const adapter_list *adapters) {
    const hone_model_info *info = hone_model_describe(model);
    *need = (memory_need){.context = info->n_context, .kv = engine_kv_type(settings)};
    if (settings->context != CLI_UNSET) need->context = (size_t)settings->context;
    need->bytes.weights = need->bytes.resident = info->file_bytes;
    if (!info->takes_text) return HONE_OK;
    const hone_memory_settings s = {.n_context = need->context, .kv = need->kv,
                                    .adapters = adapters->items, .n_adapters = adapters->n};
    return hone_memory_needed(&need->bytes, model, &s);
}

/* Everything that is shown. */
typedef struct page {
    const char *name;
    const hone_model_info *info;
    type_list types;
    tensor_classes classes;
    memory_need need;
    const store_entry *entry; /* NULL: not of the store */
    adapter_list adapters;
} page;

/* What the file says, else what came with it. */
static const char *get_license(const page *p) {
    return p->info->license[0] || !p->entry ? p->info->license : p->entry->manifest.license;
}

static json_t *adapters_json(const adapter_list *list) {
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++) {
        const hone_adapter_info *a = hone_adapter_describe(list->items[i]);
        json_array_append_new(array, json_pack("{s:o, s:I, s:I, s:I}", "adapter",
                                               cli_json_text(a->path), "matrices",
                                               (json_int_t)a->n_matrices, "rank",
                                               (json_int_t)a->rank, "bytes", (json_int_t)a->bytes));
    }
    return array;
}

static void add_adapter_rows(cli_table *t, const adapter_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        const hone_adapter_info *a = hone_adapter_describe(list->items[i]);
        cli_text size;
        cli_table_add(t, "%s", i ? "" : "adapters");
        cli_table_add(t, "%s: rank %zu, %zu matrices, %s", a->path, a->rank, a->n_matrices,
                      cli_format_bytes(&size, a->bytes));
    }
}

static json_t *to_json(const page *p) {
    const hone_model_info *info = p->info;
    const type_list *types = &p->types;
    const memory_need *need = &p->need;
    json_t *root = json_pack(
        "{s:o, s:o, s:s, s:o, s:I, s:I, s:s}", "model", cli_json_text(p->name), "name",
        cli_json_text(info->name), "architecture", info->architecture, "license",
        cli_json_text(get_license(p)), "parameters",
        (json_int_t)info->n_parameters, "file_bytes", (json_int_t)info->file_bytes, "weight_type",
        info->weight_type);
    if (!root) return NULL;
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"vocabulary", info->n_vocab},     {"context", info->n_context},
        {"layers", info->n_layers},        {"embedding", info->n_embedding},
        {"heads", info->n_heads},          {"kv_heads", info->n_kv_heads},
        {"head_dim", info->head_dim},      {"feed_forward", info->n_feed_forward},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        json_object_set_new(root, sizes[i].key, json_integer((json_int_t)sizes[i].value));
    }
    json_object_set_new(root, "has_chat_template", json_boolean(info->has_chat_template));
    json_object_set_new(root, "input", json_pack("{s:b, s:b, s:b}", "text", info->takes_text,
                                                 "image", info->takes_images, "audio",
                                                 info->takes_audio));
    json_t *list = json_array();
    for (size_t i = 0; i < types->n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "type", types->rows[i].name,
                                              "tensors", (json_int_t)types->rows[i].n_tensors,
                                              "bytes", (json_int_t)types->rows[i].n_bytes));
    }
    json_object_set_new(root, "types", list);
    json_object_set_new(root, "tensor_classes", tensor_classes_json(&p->classes));
    if (p->entry) json_object_set_new(root, "store", show_store_json(p->entry));
    json_object_set_new(root, "adapters", adapters_json(&p->adapters));
    const hone_memory *m = &need->bytes;
    json_object_set_new(root, "memory",
                        json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "context",
                                  (json_int_t)need->context, "kv", engine_kv_name(need->kv),
                                  "weights_bytes", (json_int_t)m->weights, "kv_bytes",
                                  (json_int_t)m->kv, "activations_bytes",
                                  (json_int_t)m->activations, "tables_bytes",
                                  (json_int_t)m->tables, "adapters_bytes",
                                  (json_int_t)m->adapters, "total_bytes",
                                  (json_int_t)m->resident));
    show_losses_json(root, p->name);
    return root;
}

static void row(cli_table *table, const char *key, const char *value) {
    cli_table_add(table, "%s", key);
    cli_table_add(table, "%s", *value ? value : "not stated");
}

static void size_row(cli_table *table, const char *key, size_t value) {
    cli_table_add(table, "%s", key);
    cli_table_add(table, "%zu", value);
}

static int print_page(const page *p) {
    const hone_model_info *info = p->info;
    const type_list *types = &p->types;
    const memory_need *need = &p->need;
    cli_table t;
    cli_text a, b, c, d;
    cli_table_init(&t, "ll", NULL);
    row(&t, "model", p->name);
    row(&t, "name", info->name);
    row(&t, "architecture", info->architecture);
    row(&t, "licence", get_license(p));
    row(&t, "parameters", cli_format_count(&a, info->n_parameters));
    row(&t, "file size", cli_format_bytes(&a, info->file_bytes));
    size_row(&t, "context", info->n_context);
    size_row(&t, "vocabulary", info->n_vocab);
    size_row(&t, "layers", info->n_layers);
    size_row(&t, "embedding", info->n_embedding);
    size_row(&t, "feed forward", info->n_feed_forward);
    cli_table_add(&t, "heads");
    cli_table_add(&t, "%zu, and %zu for keys and values, of %zu numbers each", info->n_heads,
                  info->n_kv_heads, info->head_dim);
    row(&t, "chat template", info->has_chat_template ? "yes" : "none");
    cli_table_add(&t, "takes");
    const char *comma = info->takes_text ? ", " : "";
    cli_table_add(&t, "%s%s%s%s%s", info->takes_text ? "text" : "",
                  info->takes_images ? comma : "", info->takes_images ? "images" : "",
                  info->takes_audio ? comma : "", info->takes_audio ? "audio" : "");
    for (size_t i = 0; i < types->n; i++) {
        cli_table_add(&t, i ? "" : "weights");
        size_t n = types->rows[i].n_tensors;
        cli_table_add(&t, "%-6s %4zu %-7s  %s", types->rows[i].name, n,
                      n == 1 ? "tensor" : "tensors", cli_format_bytes(&a, types->rows[i].n_bytes));
    }
    tensor_classes_print(&p->classes, &t, "by class");
    if (p->entry) show_store_rows(&t, p->entry);
    add_adapter_rows(&t, &p->adapters);
    const hone_memory *m = &need->bytes;
    cli_table_add(&t, "memory needed");
    cli_table_add(&t, "%s: weights %s, cache %s (%zu tokens, %s), the rest %s",
                  cli_format_bytes(&a, m->resident), cli_format_bytes(&b, m->weights),
                  cli_format_bytes(&c, m->kv), need->context, engine_kv_name(need->kv),
                  cli_format_bytes(&d, m->activations + m->tables + m->adapters));
    show_losses_rows(&t, p->name);
    return cli_table_print(&t);
}

/* A model that this version cannot run, but that the store has: what the store knows. */
static int show_entry_alone(const store_entry *entry, bool json) {
    if (json) return cli_print_json(show_store_json(entry), false);
    cli_table t;
    cli_text size;
    cli_error("%s: only what the store knows of it", hone_error_message());
    cli_table_init(&t, "ll", NULL);
    row(&t, "model", entry->manifest.name.text);
    row(&t, "licence", entry->manifest.license);
    row(&t, "file size", cli_format_bytes(&size, entry->bytes));
    show_store_rows(&t, entry);
    return cli_table_print(&t);
}

static int count_and_print(page *p, const hone_model *model, const engine_settings *settings,
                           bool json) {
    hone_status status = count_memory(&p->need, model, settings, &p->adapters);
    if (status != HONE_OK) return cli_fail(status);
    return json ? cli_print_json(to_json(p), false) : print_page(p);
}

static int show(const char *name, const engine_settings *settings, bool template_only, bool json) {
    hone_model *model;
    store_entry entry;
    bool of_store = engine_find_entry(name, &entry);
    hone_status status = engine_look_at_model(&model, name, 0);
    if (status != HONE_OK) {
        bool may_be_shown = of_store && !template_only && status != HONE_ERR_MEMORY;
        int code = may_be_shown ? show_entry_alone(&entry, json) : engine_fail_model(status, name);
        if (of_store) manifest_release(&entry.manifest);
        return code;
    }
    int code;
    const hone_model_info *info = hone_model_describe(model);
    if (settings->context != CLI_UNSET && (size_t)settings->context > info->n_context) {
        cli_error("--context %lld is more than the model was made for, which is %zu tokens",
                  (long long)settings->context, info->n_context);
        code = CLI_USAGE;
    } else if (template_only) {
        const char *text = hone_model_chat_template(model);
        if (text) printf("%s\n", text);
        else cli_error("%s has no chat template", name);
        code = text ? CLI_OK : CLI_NOT_MET;
    } else {
        page p = {.name = name, .info = info, .entry = of_store ? &entry : NULL};
        hone_model_each_type(model, add_type, &p.types);
        tensor_classes_count(&p.classes, model);
        code = adapter_option_open(&p.adapters, &settings->adapters, model);
        if (code == CLI_OK) code = count_and_print(&p, model, settings, json);
        adapter_option_close(&p.adapters);
    }
    hone_model_close(model);
    if (of_store) manifest_release(&entry.manifest);
    return code;
}

int cmd_show(int argc, char **argv) {
    engine_settings settings = ENGINE_SETTINGS_UNSET;
    bool template_only = false, json = false;
    const cli_option options[] = {
        CLI_INTEGER("context", 'c', &settings.context, "N", 1, 1 << 30,
                    "count the memory for N tokens (default: the model's maximum)"),
        ADAPTER_OPTION(&settings.adapters,
                       "say whether this adapter belongs to the model, and count "
                       "its memory; repeatable"),
        CLI_CHOICE("kv", 0, &settings.kv, ENGINE_KV_CHOICES,
                   "count the memory for a cache of this type (default f16)"),
        CLI_FLAG("template", 0, &template_only, "print only the chat template"),
        CLI_FLAG("json", 0, &json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "show",
        .operands = "MODEL",
        .about = "Says what a model is: architecture, sizes, the types of its weights, licence, "
                 "origin, "
                 "and the memory it needs for a context.",
        .examples = "hone show smollm2:135m\n"
                    "hone show model.gguf --context 2048 --kv q8_0\n"
                    "hone show smollm2:135m --json\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    return code == CLI_PARSED ? show(operands.items[0], &settings, template_only, json) : code;
}
