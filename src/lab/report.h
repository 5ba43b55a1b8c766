/* Results as something to read and to pass on: JSON, CSV, Markdown, a page of HTML.
 *
 * A summary holds valid results only, unless the caller hands over others: those are marked, with
 * their reasons, and stay out of the charts' joining lines. Every report names machine, build,
 * files' hashes and command lines, so that `hone report --repeat` can do it again. */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include "base/buf.h"
#include "lab/results.h"

enum { REPORT_MAX_BYTES = 64 << 20 };

/* {"results": […], "charts": {"speed_quality": […], "memory": […], "depth": […], "roofline": […]}};
 * NULL when memory is short. */
json_t *report_to_json(const stored_result *list, size_t n);

/* One line a metric, with a line of names (RFC 4180). */
hone_status report_csv(buf *out, const stored_result *list, size_t n);
hone_status report_markdown(buf *out, const stored_result *list, size_t n);

/* One file, without a word from the network: the chart library (Chart.js, where it was there when
 * hone was built) is in it, and so are the tables that say the same. Whatever names and outputs
 * spell is text. */
hone_status report_html(buf *out, const stored_result *list, size_t n);

/* --- words that the forms share --- */

typedef struct report_text {
    char text[96];
} report_text;

/* "93.8 MiB", "74.1 ms", "41.2 %", "118 tokens/s"; "" for NAN. */
const char *report_format_value(report_text *t, double value, const char *unit);
/* "110 to 121", in the unit of the value; "" where there is none. */
const char *report_format_interval(report_text *t, const result_metric *m);
/* "2026-11-21 18:20:07" UTC */
const char *report_format_time(report_text *t, int64_t ms);
/* "smollm2:135m (Q4_1)": what the result is about. */
const char *report_format_subject(report_text *t, const stored_result *r);

/* The number that a result is known by, or NULL where it has none. */
const result_metric *report_headline(const stored_result *r);
/* The command line as a shell would take it. */
hone_status report_add_command(buf *out, const stored_result *r);

#endif
