/* Words, Markdown and CSV. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lab/report.h"

/* --- words --- */

/* How a unit is shown: the factor, decimals (−1 = five digits in all), and the words. */
typedef struct shown_unit {
    double factor;
    int decimals;
    char words[32];
} shown_unit;

static shown_unit show_unit(const char *unit) {
    shown_unit u = {1, -1, ""};
    if (!strcmp(unit, "bytes")) return (shown_unit){1 / 1048576.0, 1, "MiB"};
    if (!strcmp(unit, "share")) return (shown_unit){100, 1, "%"};
    if (!strcmp(unit, "bytes/s")) return (shown_unit){1e-9, 1, "GB/s"};
    if (!strcmp(unit, "ops/s")) return (shown_unit){1e-9, 1, "GOP/s"};
    snprintf(u.words, sizeof u.words, "%s", unit);
    return u;
}

static void format_number(char *text, size_t n, double value, const shown_unit *u) {
    if (u->decimals >= 0 || fabs(value) >= 1e5) {
        snprintf(text, n, "%.*f", u->decimals > 0 ? u->decimals : 0, value * u->factor);
    } else {
        snprintf(text, n, "%.5g", value * u->factor);
    }
}

const char *report_format_value(report_text *t, double value, const char *unit) {
    shown_unit u = show_unit(unit);
    char number[40];
    if (isnan(value)) return "";
    format_number(number, sizeof number, value, &u);
    snprintf(t->text, sizeof t->text, "%s%s%s", number, *u.words ? " " : "", u.words);
    return t->text;
}

const char *report_format_interval(report_text *t, const result_metric *m) {
    shown_unit u = show_unit(m->unit);
    char low[40], high[40];
    if (isnan(m->low) || isnan(m->high)) return "";
    format_number(low, sizeof low, m->low, &u);
    format_number(high, sizeof high, m->high, &u);
    snprintf(t->text, sizeof t->text, "%s to %s", low, high);
    return t->text;
}

const char *report_format_time(report_text *t, int64_t ms) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) ||
        strftime(t->text, sizeof t->text, "%Y-%m-%d %H:%M:%S", &parts) == 0) return "";
    return t->text;
}

const char *report_format_subject(report_text *t, const stored_result *r) {
    const result_subject none = {.name = "", .quantisation = ""};
    /* A fidelity's first model is the reference; it is about the candidate. */
    size_t i = r->kind == RESULT_FIDELITY && r->n_subjects > 1;
    const result_subject *s = r->n_subjects ? &r->subjects[i] : &none;
    const char *slash = strrchr(s->name, '/'), *name = slash && slash[1] ? slash + 1 : s->name;
    if (!*name) name = s->file ? s->file : "";
    size_t n = strlen(name);
    int shown = n > 60 ? 60 : (int)n;
    while (shown > 0 && shown < (int)n && (name[shown] & 0xc0) == 0x80)
        shown--; /* whole characters */
    if (*s->quantisation) {
        snprintf(t->text, sizeof t->text, "%.*s (%.20s)", shown, name, s->quantisation);
    } else {
        snprintf(t->text, sizeof t->text, "%.*s", shown, name);
    }
    return t->text;
}

const result_metric *report_headline(const stored_result *r) {
    static const char *const names[RESULT_N_KINDS] = {
        [RESULT_BENCH] = "decode", [RESULT_FIDELITY] = "kl_mean", [RESULT_LOAD] = "output_tokens"};
    for (size_t i = 0; i < r->n_metrics && names[r->kind]; i++) {
        if (!strcmp(r->metrics[i].name, names[r->kind])) return &r->metrics[i];
    }
    return r->n_metrics ? &r->metrics[0] : NULL;
}

static bool is_plain(const char *word) {
    return *word && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_-+=:,./@%")] == '\0';
}

hone_status report_add_command(buf *out, const stored_result *r) {
    for (const char **word = r->argv; word && *word; word++) {
        if (word != r->argv) TRY(buf_add_text(out, " "));
        if (is_plain(*word)) {
            TRY(buf_add_text(out, *word));
            continue;
        }
        TRY(buf_add_text(out, "'"));
        for (const char *c = *word; *c; c++) {
            TRY(*c == '\'' ? buf_add_text(out, "'\\''") : buf_add(out, c, 1));
        }
        TRY(buf_add_text(out, "'"));
    }
    return HONE_OK;
}

/* --- CSV --- */

static hone_status add_field(buf *out, const char *text, bool last) {
    bool quoted = text[strcspn(text, ",\"\r\n")] != '\0';
    if (quoted) TRY(buf_add_text(out, "\""));
    for (const char *c = text; *c; c++) {
        TRY(*c == '"' ? buf_add_text(out, "\"\"") : buf_add(out, c, 1));
    }
    if (quoted) TRY(buf_add_text(out, "\""));
    return buf_add_text(out, last ? "\r\n" : ",");
}

static hone_status add_number(buf *out, double value) {
    return isnan(value) ? buf_add_text(out, ",") : buf_add_format(out, "%.12g,", value);
}

static hone_status add_csv_line(buf *out, const stored_result *r, const result_metric *m) {
    report_text time;
    const result_subject none = {.name = "", .hash = "", .quantisation = ""};
    const result_subject *s = r->n_subjects ? &r->subjects[0] : &none;
    TRY(buf_add_format(out, "%lld,%s,", (long long)r->id, result_kind_name(r->kind)));
    TRY(add_field(out, report_format_time(&time, r->started_ms), false));
    TRY(add_field(out, s->name, false));
    TRY(add_field(out, s->hash, false));
    TRY(add_field(out, s->quantisation, false));
    TRY(add_field(out, r->machine.fingerprint, false));
    TRY(add_field(out, m->name, false));
    TRY(add_field(out, m->condition, false));
    TRY(add_number(out, m->value));
    TRY(add_number(out, m->low));
    TRY(add_number(out, m->high));
    TRY(add_field(out, m->unit, false));
    TRY(buf_add_format(out, "%llu,%s,", (unsigned long long)m->n,
                       r->validity.n ? "false" : "true"));
    return add_field(out, r->validity.n ? r->validity.reasons[0].words : "", true);
}

hone_status report_csv(buf *out, const stored_result *list, size_t n) {
    TRY(buf_add_text(out,
                     "result,kind,started,model,hash,quantisation,machine,metric,condition,value,"
                     "low,high,unit,n,valid,reason\r\n"));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < list[i].n_metrics; k++)
            TRY(add_csv_line(out, &list[i], &list[i].metrics[k]));
    }
    return HONE_OK;
}

/* --- Markdown --- */

/* Text that stays text in a cell: signs of Markdown and HTML are escaped, line ends become
 * blanks. */
static hone_status add_cell(buf *out, const char *text) {
    for (const char *c = text; *c; c++) {
        if (strchr("\\`*_{}[]()#+!|<>&~", *c)) TRY(buf_add_text(out, "\\"));
        TRY(*c == '\n' || *c == '\r' ? buf_add_text(out, " ") : buf_add(out, c, 1));
    }
    return HONE_OK;
}

/* "| a | b |" of `n` cells. */
static hone_status add_row(buf *out, const char *const *cells, size_t n) {
    for (size_t i = 0; i < n; i++) {
        TRY(buf_add_text(out, "| "));
        TRY(add_cell(out, cells[i]));
        TRY(buf_add_text(out, " "));
    }
    return buf_add_text(out, "|\n");
}

static hone_status add_metrics(buf *out, const stored_result *r) {
    TRY(buf_add_text(out, "\n| metric | condition | value | 95 % interval | n |\n"
                          "|---|---|---:|---:|---:|\n"));
    for (size_t i = 0; i < r->n_metrics; i++) {
        const result_metric *m = &r->metrics[i];
        report_text value, interval, count;
        snprintf(count.text, sizeof count.text, "%llu", (unsigned long long)m->n);
        const char *cells[] = {m->name, m->condition,
                               report_format_value(&value, m->value, m->unit),
                               report_format_interval(&interval, m), count.text};
        TRY(add_row(out, cells, 5));
    }
    return HONE_OK;
}

static hone_status add_conditions(buf *out, const stored_result *r) {
    const machine_description *m = &r->machine;
    TRY(buf_add_text(out, "\n* machine: "));
    TRY(add_cell(out, m->cpu));
    TRY(buf_add_format(out, ", %s, %d cores, %.1f GiB, ", m->features, m->n_cores,
                       (double)m->memory_bytes / 0x1p30));
    TRY(add_cell(out, m->kernel));
    TRY(buf_add_format(out, " (%s)\n* build: ", m->fingerprint));
    TRY(add_cell(out, r->build));
    for (size_t i = 0; i < r->n_subjects; i++) {
        const result_subject *s = &r->subjects[i];
        TRY(buf_add_text(out, "\n* "));
        TRY(add_cell(out, s->role));
        TRY(buf_add_text(out, ": "));
        TRY(add_cell(out, s->name));
        TRY(buf_add_text(out, ", "));
        TRY(add_cell(out, s->file));
        TRY(buf_add_format(out, ", SHA-256 %s", *s->hash ? s->hash : "unknown"));
    }
    TRY(buf_add_text(out, "\n* command: "));
    buf command;
    buf_init(&command, REPORT_MAX_BYTES);
    hone_status status = report_add_command(&command, r);
    if (status == HONE_OK) status = add_cell(out, command.data ? command.data : "unknown");
    buf_release(&command);
    return status == HONE_OK ? buf_add_text(out, "\n") : status;
}

static hone_status add_result(buf *out, const stored_result *r) {
    report_text subject, time;
    TRY(buf_add_format(out, "\n## %lld: %s of ", (long long)r->id, result_kind_name(r->kind)));
    TRY(add_cell(out, report_format_subject(&subject, r)));
    TRY(buf_add_format(out, "\n\n%s UTC, %.1f s\n", report_format_time(&time, r->started_ms),
                       r->seconds));
    if (r->validity.n) TRY(buf_add_text(out, "\n**Invalid.** Do not rely on these numbers:\n\n"));
    for (size_t i = 0; i < r->validity.n; i++) {
        TRY(buf_add_text(out, "* "));
        TRY(add_cell(out, r->validity.reasons[i].words));
        TRY(buf_add_text(out, "\n"));
    }
    TRY(add_metrics(out, r));
    return add_conditions(out, r);
}

hone_status report_markdown(buf *out, const stored_result *list, size_t n) {
    TRY(buf_add_text(out, "# What hone measured\n"));
    for (size_t i = 0; i < n; i++) TRY(add_result(out, &list[i]));
    return HONE_OK;
}
