/* `hone bench --limits`: what the machine can do at most, without a model. */
#include <stdio.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/record.h"

enum { MOST_LOOKS = 12 }; /* 1, 2, 4, … 1024 threads */

static void print_processor(void) {
    char processor[256];
    const char *kernels = "";
    machine_processor_name(processor, sizeof processor);
    hone_instruction_set(&kernels);
    printf("%s, %s kernels\n\n", processor, kernels);
}

static int print_table(const hone_limits *looks, size_t n, const validity *v) {
    static const char *const headers[] = {"threads", "read, 1 stream", "2", "4", "8", "bytes",
                                          "bf16", "floats"};
    print_processor();
    cli_table t;
    cli_table_init(&t, "rrrrrrrr", headers);
    for (size_t i = 0; i < n; i++) {
        const hone_limits *l = &looks[i];
        const double ops[] = {l->int8_ops_per_s, l->bf16_ops_per_s, l->f32_ops_per_s};
        cli_text text;
        cli_table_add(&t, "%d", l->n_threads);
        for (int j = 0; j < HONE_LIMIT_STREAMS; j++) {
            cli_table_add(&t, "%s", bench_format_rate(&text, l->read_bytes_per_s[j], "B/s"));
        }
        for (int j = 0; j < 3; j++) {
            cli_table_add(&t, "%s", bench_format_rate(&text, ops[j], "OP/s"));
        }
    }
    int code = cli_table_print(&t);
    const hone_limits *l = &looks[0];
    cli_text buffer, cache;
    printf("\nread: %s, beyond the cache of %s; bytes: %s, bf16: %s, floats: %s\n",
           cli_format_bytes(&buffer, l->buffer_bytes), cli_format_bytes(&cache, l->cache_bytes),
           *l->int8_name ? l->int8_name : "none", *l->bf16_name ? l->bf16_name : "none",
           l->f32_name);
    record_print_doubts(v);
    return code;
}

static int print_json(const hone_limits *looks, size_t n, const validity *v) {
    char processor[256];
    machine_processor_name(processor, sizeof processor);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, bench_limits_to_json(&looks[i]));
    json_t *reasons = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(reasons, json_string(v->reasons[i].words));
    return cli_print_json(json_pack("{s:s, s:o, s:b, s:o}", "cpu", processor, "limits", list,
                                    "valid", v->n == 0, "reasons", reasons),
                          false);
}

int bench_print_limits(int n_threads, bool json) {
    hone_limits looks[MOST_LOOKS];
    validity doubts = {.n = 0};
    size_t n = 0;
    for (int threads = 1; n < MOST_LOOKS; threads *= 2) {
        if (threads > n_threads) threads = n_threads;
        cli_progress("measuring %d of %d threads", threads, n_threads);
        bench look;
        bench_init(&look);
        hone_status status = bench_look_at_limits(&look, threads, NULL);
        if (status != HONE_OK) return cli_fail(status);
        looks[n++] = look.limits;
        validity_add(&doubts, &look.validity);
        if (threads == n_threads) break;
    }
    cli_progress_clear();
    return json ? print_json(looks, n, &doubts) : print_table(looks, n, &doubts);
}
