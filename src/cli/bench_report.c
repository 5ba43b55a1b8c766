/* Telling what was measured: a page for people, one JSON object for scripts. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/record.h"

static const char *row_name(const bench_row *row, cli_text *t) {
    if (row->kind == BENCH_SPECULATION) return "decode with drafts";
    const char *name = bench_kind_name(row->kind);
    if (row->n_batch) snprintf(t->text, sizeof t->text, "%s by %zu", name, row->n_batch);
    else if (row->n_parallel == 1) return name;
    else snprintf(t->text, sizeof t->text, "%s, %zu together", name, row->n_parallel);
    return t->text;
}

const char *bench_format_rate(cli_text *t, double per_s, const char *unit) {
    if (per_s <= 0) return "";
    snprintf(t->text, sizeof t->text, per_s < 1e11 ? "%.1f G%s" : "%.0f G%s", 1e-9 * per_s, unit);
    return t->text;
}

/* --- JSON --- */

static json_t *rate_or_null(double per_s) { return per_s > 0 ? json_real(per_s) : json_null(); }

json_t *bench_limits_to_json(const hone_limits *l) {
    json_t *streams = json_array();
    for (int i = 0; i < HONE_LIMIT_STREAMS; i++) {
        json_array_append_new(streams, json_real(l->read_bytes_per_s[i]));
    }
    return json_pack("{s:i, s:o, s:o, s:o, s:s, s:o, s:s, s:o, s:s, s:I, s:I}", "threads",
                     l->n_threads, "read_bytes_per_s", rate_or_null(l->best_read_bytes_per_s),
                     "read_by_streams", streams, "int8_ops_per_s", rate_or_null(l->int8_ops_per_s),
                     "int8_instruction", l->int8_name, "bf16_ops_per_s",
                     rate_or_null(l->bf16_ops_per_s), "bf16_instruction", l->bf16_name,
                     "f32_ops_per_s", rate_or_null(l->f32_ops_per_s), "f32_instruction",
                     l->f32_name, "cache_bytes", (json_int_t)l->cache_bytes, "buffer_bytes",
                     (json_int_t)l->buffer_bytes);
}

static json_t *row_to_json(const bench_row *row) {
    const spread *s = &row->speed;
    json_t *object = json_pack(
        "{s:I, s:I, s:f, s:{s:f, s:f, s:f, s:f, s:f, s:I}}", "tokens", (json_int_t)row->n_tokens,
        "depth", (json_int_t)row->depth, "tokens_per_s", s->median, "spread", "min", s->min, "max",
        s->max, "low", s->low, "high", s->high, "confidence", s->confidence, "runs",
        (json_int_t)s->n);
    bool known = row->share_of_limit > 0;
    json_object_set_new(object, "share_of_limit",
                        known ? json_real(row->share_of_limit) : json_null());
    json_object_set_new(object, "limit",
                        known ? json_string(row->bound_by_memory ? "memory" : "arithmetic")
                              : json_null());
    json_object_set_new(object, "ops_per_s", rate_or_null(row->ops_per_s));
    json_object_set_new(object, "ops_per_byte", rate_or_null(row->ops_per_byte));
    json_object_set_new(object, "joules_per_token", rate_or_null(row->joules_per_token));
    if (row->kind == BENCH_PREFILL) {
        json_object_set_new(object, "ttft_ms", rate_or_null(row->ttft_ms.median));
        json_object_set_new(object, "batch", row->n_batch ? json_integer((json_int_t)row->n_batch)
                                                          : json_null());
    }
    if (row->kind == BENCH_DECODE) {
        const spread *t = &row->times_one;
        json_object_set_new(object, "parallel", json_integer((json_int_t)row->n_parallel));
        json_object_set_new(object, "times_one",
                            t->n ? json_pack("{s:f, s:f, s:f}", "value", t->median, "min", t->min,
                                             "max", t->max)
                                 : json_null());
    }
    return object;
}

/* `prefill` and `decode` are the first of their kind; all of them are in `prefills`, `decodes`. */
static void add_rows(json_t *root, const bench *b) {
    static const char *const all[] = {"prefills", "decodes", NULL};
    json_object_set_new(root, "prefill", json_null());
    json_object_set_new(root, "decode", json_null());
    for (int kind = 0; all[kind]; kind++) json_object_set_new(root, all[kind], json_array());
    for (size_t i = 0; i < b->n_rows; i++) {
        const bench_row *row = &b->rows[i];
        json_t *object = row_to_json(row);
        if (row == bench_find(b, row->kind)) {
            json_object_set(root, bench_kind_name(row->kind), object);
        }
        if (all[row->kind]) json_array_append(json_object_get(root, all[row->kind]), object);
        json_decref(object);
    }
    json_t *drafts = json_object_get(root, "speculation");
    if (!drafts) return;
    json_object_set_new(drafts, "drafted_tokens", json_integer((json_int_t)b->n_drafted));
    json_object_set_new(drafts, "accepted_tokens", json_integer((json_int_t)b->n_accepted));
    json_object_set_new(drafts, "gain", json_real(bench_speculation_gain(b)));
}

static json_t *load_to_json(const spread *s) {
    if (s->n == 0) return json_null();
    return json_pack("{s:f, s:f, s:f, s:I}", "ms", s->median, "min", s->min, "max", s->max, "runs",
                     (json_int_t)s->n);
}

static json_t *bytes_or_null(uint64_t bytes) {
    return bytes ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *memory_to_json(const bench *b) {
    const machine_memory *m = &b->memory;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "peak_resident_bytes",
                     bytes_or_null(b->peak_memory_bytes), "resident_bytes",
                     bytes_or_null(m->resident), "resident_file_bytes",
                     bytes_or_null(m->resident_file), "resident_own_bytes",
                     bytes_or_null(m->resident_own), "mapped_bytes", bytes_or_null(m->mapped),
                     "cgroup_bytes", bytes_or_null(m->group), "cgroup_peak_bytes",
                     bytes_or_null(m->group_peak));
}

json_t *bench_to_json(const bench_page *p) {
    const bench *b = p->b;
    char processor[256];
    machine_processor_name(processor, sizeof processor);
    json_t *root = json_pack(
        "{s:o, s:i, s:s, s:s, s:s, s:I, s:s, s:b}", "model", cli_json_text(p->name), "threads",
        p->info->n_threads, "cpu", processor, "kernels", p->info->instruction_set, "weight_type",
        p->info->weight_type, "file_bytes", (json_int_t)p->info->file_bytes, "kv",
        engine_kv_name(engine_kv_type(p->settings)), "exact", p->settings->exact);
    add_rows(root, b);
    json_object_set_new(root, "ttft_ms", b->ttft_ms > 0 ? json_real(b->ttft_ms) : json_null());
    json_object_set_new(root, "load_ms", json_real(p->load_ms));
    json_object_set_new(root, "load", json_pack("{s:o, s:o, s:f}", "warm",
                                                load_to_json(&b->load.warm), "cold",
                                                load_to_json(&b->load.cold), "kept_share",
                                                b->load.kept));
    json_object_set_new(root, "peak_memory_bytes", json_integer((json_int_t)b->peak_memory_bytes));
    json_object_set_new(root, "memory", memory_to_json(b));
    json_object_set_new(root, "energy", json_string(b->energy));
    json_object_set_new(root, "limits", bench_limits_to_json(&b->limits));
    json_object_set_new(root, "valid", json_boolean(b->validity.n == 0));
    json_t *reasons = json_array();
    for (size_t i = 0; i < b->validity.n; i++) {
        json_array_append_new(reasons, json_string(b->validity.reasons[i].words));
    }
    json_object_set_new(root, "reasons", reasons);
    return root;
}

/* --- a page --- */

static void print_conditions(const bench_page *p) {
    char processor[256];
    cli_text bytes;
    machine_processor_name(processor, sizeof processor);
    printf("%s, %s in %s; %s, %d threads, %s kernels, %s cache%s\n\n", p->name,
           cli_format_bytes(&bytes, p->info->file_bytes), p->info->weight_type, processor,
           p->info->n_threads, p->info->instruction_set,
           engine_kv_name(engine_kv_type(p->settings)), p->settings->exact ? ", exact" : "");
}

static int print_rows(const bench *b) {
    static const char *const headers[] = {"", "tokens", "at depth", "tokens/s", "min", "max",
                                          "interval of the median", "of the limit"};
    cli_table t;
    cli_table_init(&t, "lrrrrrrr", headers);
    for (size_t i = 0; i < b->n_rows; i++) {
        const bench_row *row = &b->rows[i];
        const spread *s = &row->speed;
        cli_text name;
        cli_table_add(&t, "%s", row_name(row, &name));
        cli_table_add(&t, "%zu", row->n_tokens);
        cli_table_add(&t, "%zu", row->depth);
        cli_table_add(&t, "%.1f", s->median);
        cli_table_add(&t, "%.1f", s->min);
        cli_table_add(&t, "%.1f", s->max);
        cli_table_add(&t, "%.1f–%.1f (%.0f %%)", s->low, s->high, 100 * s->confidence);
        if (row->share_of_limit > 0) {
            cli_table_add(&t, "%.0f %% of %s", 100 * row->share_of_limit,
                          row->bound_by_memory ? "memory" : "arithmetic");
        } else {
            cli_table_add(&t, "%s", "");
        }
    }
    return cli_table_print(&t);
}

/* What several answers cost beside one. */
static void print_parallel(const bench *b) {
    for (size_t i = 0; i < b->n_rows; i++) {
        const spread *t = &b->rows[i].times_one;
        if (t->n)
            printf("%2zu answers           %.2f times the time of the fewest (%.2f to %.2f), "
                   "in turn\n",
                   b->rows[i].n_parallel, t->median, t->min, t->max);
    }
}

static void print_speculation(const bench *b) {
    double gain = bench_speculation_gain(b);
    cli_text text;
    if (gain == 0) return;
    printf("speculation          %s; %s: %.2f times the speed\n",
           engine_format_drafts(&text, b->n_accepted, b->n_drafted),
           gain > 1 ? "it pays" : "it does not pay", gain);
}

static void print_load(const load_time *t, double load_ms) {
    cli_text warm, cold;
    if (t->warm.n == 0) {
        printf("\nload time            %s\n", cli_format_ms(&warm, load_ms));
        return;
    }
    printf("\nload time            %s warm, ", cli_format_ms(&warm, t->warm.median));
    if (t->cold.n) {
        printf("%s cold: to the first token, the file in the system's cache or dropped from it\n",
               cli_format_ms(&cold, t->cold.median));
    } else {
        printf("cold unknown: %.0f %% of the file stays in memory, other programs have it open\n",
               100 * t->kept);
    }
}

static void print_memory(const bench *b) {
    const machine_memory *m = &b->memory;
    cli_text text;
    printf("peak memory          %s\n", cli_format_bytes(&text, b->peak_memory_bytes));
    if (m->resident == 0) return;
    printf("steady memory        %s:", cli_format_bytes(&text, m->resident));
    printf(" %s of files, ", cli_format_bytes(&text, m->resident_file));
    printf("%s of its own; ", cli_format_bytes(&text, m->resident_own));
    printf("%s mapped", cli_format_bytes(&text, m->mapped));
    if (m->group) printf("; cgroup %s", cli_format_bytes(&text, m->group));
    putchar('\n');
}

static void print_energy(const bench *b) {
    const bench_row *row = bench_find(b, BENCH_DECODE);
    printf("energy               ");
    if (row && row->joules_per_token > 0)
        printf("%.3f J for a decoded token, ", row->joules_per_token);
    printf("%s\n", b->energy);
}

int bench_print_page(const bench_page *p) {
    const bench *b = p->b;
    print_conditions(p);
    int code = print_rows(b);
    cli_text text, read;
    print_load(&b->load, p->load_ms);
    if (b->ttft_ms > 0) printf("time to first token  %s\n", cli_format_ms(&text, b->ttft_ms));
    print_memory(b);
    print_energy(b);
    printf("limits               %s read, %s of %s\n",
           bench_format_rate(&read, b->limits.best_read_bytes_per_s, "B/s"),
           b->limits.int8_ops_per_s > 0
               ? bench_format_rate(&text, b->limits.int8_ops_per_s, "OP/s")
               : bench_format_rate(&text, b->limits.f32_ops_per_s, "OP/s"),
           b->limits.int8_ops_per_s > 0 ? "bytes" : "floats");
    print_parallel(b);
    print_speculation(b);
    record_print_doubts(&b->validity);
    return code;
}
