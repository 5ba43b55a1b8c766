/* The page: tables written here, charts drawn by report_page.js. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "hone/model.h"
#include "lab/report_int.h"

/* --- text that stays text --- */

static hone_status add_escaped(buf *out, const char *text) {
    for (const char *c = text; *c; c++) {
        const char *entity = *c == '&'   ? "&amp;"
                             : *c == '<' ? "&lt;"
                             : *c == '>' ? "&gt;"
                             : *c == '"' ? "&quot;"
                             : *c == '\'' ? "&#39;" : NULL;
        TRY(entity ? buf_add_text(out, entity) : buf_add(out, c, 1));
    }
    return HONE_OK;
}

/* JSON in a script element: no "<" can end it. */
static hone_status add_json(buf *out, const json_t *root) {
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
    hone_status status = text ? HONE_OK : mem_fail("a report", 0);
    for (const char *c = text; status == HONE_OK && *c; c++) {
        status = *c == '<' ? buf_add_text(out, "\\u003c") : buf_add(out, c, 1);
    }
    mem_free(text);
    return status;
}

/* A script that is ours or the library's: "</script" within it, which can only be a string's, is
 * broken up. */
static hone_status add_script(buf *out, const char *script) {
    TRY(buf_add_text(out, "<script>"));
    for (const char *end; (end = strcasestr(script, "</script")); script = end + 2) {
        TRY(buf_add(out, script, (size_t)(end - script)));
        TRY(buf_add_text(out, "<\\/"));
    }
    TRY(buf_add_text(out, script));
    return buf_add_text(out, "</script>\n");
}

static hone_status add_cell(buf *out, const char *text, bool is_number) {
    TRY(buf_add_text(out, is_number ? "<td class=n>" : "<td>"));
    TRY(add_escaped(out, text));
    return buf_add_text(out, "</td>");
}

/* --- tables --- */

static hone_status add_headline(buf *out, const stored_result *r) {
    const result_metric *m = report_headline(r);
    report_text value;
    char words[160] = "";
    if (m) {
        snprintf(words, sizeof words, "%.60s %s", m->name,
                 report_format_value(&value, m->value, m->unit));
    }
    return add_cell(out, words, false);
}

static hone_status add_overview(buf *out, const stored_result *list, size_t n) {
    TRY(buf_add_text(out,
                     "<div class=scroll><table><tr><th class=n>#<th>kind<th>model<th>started (UTC)"
                     "<th>machine<th>result<th>valid</tr>\n"));
    for (size_t i = 0; i < n; i++) {
        const stored_result *r = &list[i];
        report_text subject, time;
        TRY(buf_add_format(out, "<tr><td class=n><a href=\"#r%lld\">%lld</a></td>",
                           (long long)r->id, (long long)r->id));
        TRY(add_cell(out, result_kind_name(r->kind), false));
        TRY(add_cell(out, report_format_subject(&subject, r), false));
        TRY(add_cell(out, report_format_time(&time, r->started_ms), false));
        TRY(add_cell(out, r->machine.fingerprint, false));
        TRY(add_headline(out, r));
        TRY(buf_add_text(out, r->validity.n ? "<td class=invalid>invalid: " : "<td>valid"));
        if (r->validity.n) TRY(add_escaped(out, r->validity.reasons[0].words));
        TRY(buf_add_text(out, "</td></tr>\n"));
    }
    return buf_add_text(out, "</table></div>\n");
}

static hone_status add_metrics(buf *out, const stored_result *r) {
    TRY(buf_add_text(out, "<div class=scroll><table><tr><th>metric<th>condition<th class=n>value"
                          "<th class=n>95 % interval<th class=n>n</tr>\n"));
    for (size_t i = 0; i < r->n_metrics; i++) {
        const result_metric *m = &r->metrics[i];
        report_text value, interval, count;
        snprintf(count.text, sizeof count.text, "%llu", (unsigned long long)m->n);
        TRY(buf_add_text(out, "<tr>"));
        TRY(add_cell(out, m->name, false));
        TRY(add_cell(out, m->condition, false));
        TRY(add_cell(out, report_format_value(&value, m->value, m->unit), true));
        TRY(add_cell(out, report_format_interval(&interval, m), true));
        TRY(add_cell(out, count.text, true));
        TRY(buf_add_text(out, "</tr>\n"));
    }
    return buf_add_text(out, "</table></div>\n");
}

static hone_status add_term(buf *out, const char *name, const char *text) {
    TRY(buf_add_text(out, "<dt>"));
    TRY(add_escaped(out, name));
    TRY(buf_add_text(out, "</dt><dd>"));
    TRY(add_escaped(out, text));
    return buf_add_text(out, "</dd>\n");
}

static hone_status add_conditions(buf *out, const stored_result *r) {
    const machine_description *m = &r->machine;
    char words[512];
    snprintf(words, sizeof words, "%s, %s, %d cores of %d processors, %.1f GiB, %s (%s)", m->cpu,
             m->features, m->n_cores, m->n_processors, (double)m->memory_bytes / 0x1p30, m->kernel,
             m->fingerprint);
    TRY(buf_add_text(out, "<dl>"));
    TRY(add_term(out, "machine", words));
    TRY(add_term(out, "build", r->build));
    for (size_t i = 0; i < r->n_subjects; i++) {
        const result_subject *s = &r->subjects[i];
        char *line = mem_alloc(strlen(s->name) + strlen(s->file) + strlen(s->hash) + 32);
        if (!line) return mem_fail("a report", 0);
        sprintf(line, "%s, %s, SHA-256 %s", s->name, s->file, *s->hash ? s->hash : "unknown");
        hone_status status = add_term(out, s->role, line);
        mem_free(line);
        if (status != HONE_OK) return status;
    }
    buf command;
    buf_init(&command, REPORT_MAX_BYTES);
    hone_status status = report_add_command(&command, r);
    if (status == HONE_OK)
        status = add_term(out, "command", command.data ? command.data : "unknown");
    buf_release(&command);
    return status == HONE_OK ? buf_add_text(out, "</dl>\n") : status;
}

static hone_status add_result(buf *out, const stored_result *r) {
    report_text subject, time;
    TRY(buf_add_format(out, "<h2 id=\"r%lld\">%lld: %s of ", (long long)r->id, (long long)r->id,
                       result_kind_name(r->kind)));
    TRY(add_escaped(out, report_format_subject(&subject, r)));
    TRY(buf_add_format(out, "</h2>\n<p class=dim>%s UTC, %.1f s</p>\n",
                       report_format_time(&time, r->started_ms), r->seconds));
    if (r->validity.n)
        TRY(buf_add_text(out, "<p class=invalid>Invalid: do not rely on these numbers.</p>\n"
                              "<ul class=invalid>"));
    for (size_t i = 0; i < r->validity.n; i++) {
        TRY(buf_add_text(out, "<li>"));
        TRY(add_escaped(out, r->validity.reasons[i].words));
    }
    if (r->validity.n) TRY(buf_add_text(out, "</ul>\n"));
    TRY(add_metrics(out, r));
    return add_conditions(out, r);
}

/* --- the page --- */

static hone_status add_charts(buf *out, const stored_result *list, size_t n) {
    TRY(buf_add_text(out, "<h2>Charts</h2>\n<div id=charts>"));
    if (!*report_chart_library) {
        TRY(buf_add_text(out, "<p>This hone was built without the chart library (Chart.js): the "
                              "charts are left out. The tables below hold every number.</p>"));
    } else {
        TRY(buf_add_text(out,
                         "<noscript>The charts are drawn by a script; the tables below hold every "
                         "number.</noscript>"));
    }
    TRY(buf_add_text(out, "</div>\n<script type=\"application/json\" id=data>"));
    json_t *data = report_to_json(list, n);
    hone_status status = data ? add_json(out, data) : HONE_ERR_MEMORY;
    json_decref(data);
    TRY(status);
    TRY(buf_add_text(out, "</script>\n"));
    if (!*report_chart_library) return HONE_OK;
    TRY(add_script(out, report_chart_library));
    return add_script(out, report_script);
}

hone_status report_html(buf *out, const stored_result *list, size_t n) {
    TRY(buf_add_text(out,
                     "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                     "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
                     "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
                     "script-src 'unsafe-inline'; style-src 'unsafe-inline'\">\n"
                     "<title>What hone measured</title>\n<style>\n"));
    TRY(buf_add_text(out, report_style));
    TRY(buf_add_format(out, "</style>\n</head>\n<body>\n<h1>What hone measured</h1>\n"
                            "<p class=dim>%zu results, written by hone %s. Values are medians or "
                            "means with 95 %% intervals; n counts repetitions or items.</p>\n", n,
                       hone_version()));
    TRY(add_overview(out, list, n));
    if (n > 0) TRY(add_charts(out, list, n));
    for (size_t i = 0; i < n; i++) TRY(add_result(out, &list[i]));
    return buf_add_text(out, "</body>\n</html>\n");
}
