/* What the forms of a report share. */
#ifndef LAB_REPORT_INT_H
#define LAB_REPORT_INT_H

#include "lab/report.h"

/* Files that were embedded when hone was built (report_embed.c), NUL-terminated. The chart library
 * is "" where it was not there. */
extern const char report_style[], report_script[], report_chart_library[];

#endif
