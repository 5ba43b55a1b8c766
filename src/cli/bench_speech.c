/* `hone bench` for models that hear. */
#include <stdio.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/record.h"

typedef struct speech_page {
    const char *name;
    const hone_model_info *info;
    const bench_speech *b;
    const bench_speech_settings *settings;
    double load_ms;
} speech_page;

/* --- JSON --- */

static json_t *spread_to_json(const spread *s) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "median", s->median, "min", s->min,
                     "max", s->max, "low", s->low, "high", s->high, "confidence", s->confidence,
                     "runs", (json_int_t)s->n);
}

static json_t *row_to_json(const bench_speech_row *row) {
    return json_pack("{s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o}", "beams", (json_int_t)row->n_beams,
                     "tokens", (json_int_t)row->n_tokens, "windows", (json_int_t)row->n_windows,
                     "seconds", row->seconds, "real_time_factor", spread_to_json(&row->factor),
                     "spectrum_ms", spread_to_json(&row->spectrum_ms), "encoder_ms",
                     spread_to_json(&row->encoder_ms), "decoder_tokens_per_s",
                     spread_to_json(&row->decoder));
}

static json_t *page_to_json(const speech_page *p) {
    json_t *rows = json_array(), *reasons = json_array();
    for (int i = 0; i < 2; i++) json_array_append_new(rows, row_to_json(&p->b->rows[i]));
    for (size_t i = 0; i < p->b->validity.n; i++)
        json_array_append_new(reasons,
                              json_string(validity_code_name(p->b->validity.reasons[i].code)));
    return json_pack("{s:o, s:i, s:s, s:s, s:I, s:o, s:b, s:f, s:o, s:I, s:o, s:b, s:o}", "model",
                     cli_json_text(p->name), "threads", p->info->n_threads, "kernels",
                     p->info->instruction_set, "weight_type", p->info->weight_type, "file_bytes",
                     (json_int_t)p->info->file_bytes, "audio",
                     p->settings->audio ? cli_json_text(p->settings->audio) : json_null(), "exact",
                     p->settings->exact, "load_ms", p->load_ms, "speech", rows,
                     "peak_memory_bytes", (json_int_t)p->b->peak_memory_bytes, "limits",
                     bench_limits_to_json(&p->b->limits), "valid", p->b->validity.n == 0,
                     "reasons", reasons);
}

/* --- for people --- */

static void add_spread(cli_table *t, const char *what, const spread *s, const char *format) {
    cli_table_add(t, "%s", what);
    cli_table_add(t, format, s->median);
    cli_table_add(t, format, s->min);
    cli_table_add(t, format, s->max);
}

static int print_row(const bench_speech_row *row) {
    static const char *const headers[] = {"", "median", "min", "max"};
    cli_table t;
    printf("\n%s: %.1f s of audio, %zu %s, %zu tokens\n",
           row->n_beams == 1 ? "one hypothesis" : "five beams", row->seconds, row->n_windows,
           row->n_windows == 1 ? "window" : "windows", row->n_tokens);
    cli_table_init(&t, "lrrr", headers);
    add_spread(&t, "real-time factor", &row->factor, "%.4f");
    add_spread(&t, "spectrum of 30 s, ms", &row->spectrum_ms, "%.1f");
    add_spread(&t, "encoder, 30 s, ms", &row->encoder_ms, "%.1f");
    add_spread(&t, "decoder, tokens/s", &row->decoder, "%.1f");
    return cli_table_print(&t);
}

static int print_page(const speech_page *p) {
    const bench_speech *b = p->b;
    cli_text text;
    printf("%s: %s, %d threads, %s%s\n", p->name, p->info->weight_type, p->info->n_threads,
           p->info->instruction_set, p->settings->exact ? ", exact" : "");
    int code = CLI_OK;
    for (int i = 0; i < 2 && code == CLI_OK; i++) code = print_row(&b->rows[i]);
    printf("\nload time            %s\n", cli_format_ms(&text, p->load_ms));
    printf("peak memory          %s\n", cli_format_bytes(&text, b->peak_memory_bytes));
    if (b->validity.n) printf("\nDo not rely on these numbers:\n");
    for (size_t i = 0; i < b->validity.n; i++) printf("  %s\n", b->validity.reasons[i].words);
    return code;
}

/* --- both --- */

static json_t *describe_settings(const speech_page *p) {
    const bench_speech_settings *s = p->settings;
    return json_pack("{s:i, s:b, s:o, s:o, s:I, s:I}", "threads", p->info->n_threads, "exact",
                     s->exact, "audio", s->audio ? cli_json_text(s->audio) : json_null(),
                     "language", s->language ? cli_json_text(s->language) : json_null(), "repeat",
                     (json_int_t)s->repeat, "seed", (json_int_t)s->seed);
}

static int tell(const speech_page *p, record *kept, bool as_json) {
    json_t *json = page_to_json(p);
    RECORD(kept, bench_speech_store(p->b, kept->db, kept->id));
    record_finish(kept, &p->b->validity, json);
    if (as_json) return cli_print_json(json, false);
    json_decref(json);
    return print_page(p);
}

int bench_speech_page(hone_model *model, const char *name, const bench_speech_settings *settings,
                      double load_ms, bool json) {
    bench_speech b;
    const speech_page page = {name, hone_model_describe(model), &b, settings, load_ms};
    record kept = {.id = 0};
    record_add_model(&kept, "model", name, model);
    record_begin(&kept, RESULT_BENCH, describe_settings(&page));
    hone_status status = bench_speech_run(&b, model, settings);
    cli_progress_clear();
    if (interrupt_seen() && status != HONE_OK) status = HONE_ERR_CANCELLED;
    int code = status == HONE_OK ? tell(&page, &kept, json) : cli_fail(status);
    record_release(&kept);
    return code;
}
