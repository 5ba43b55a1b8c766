/* Files as constants. The Makefile names them: the page's own style and script, and the chart
 * library where a package has it (docs/dependencies.md). */
#include "lab/report_int.h"

#ifdef __APPLE__
#define EMBED(name, file)                                                                          \
    __asm__(".const\n.private_extern _" #name "\n_" #name ":\n.incbin \"" file                     \
            "\"\n.byte 0\n.text\n")
#else
#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .rodata\n.hidden " #name "\n.global " #name "\n" #name                   \
            ":\n.incbin \"" file "\"\n.byte 0\n.popsection\n")
#endif

EMBED(report_style, HONE_REPORT_STYLE);
EMBED(report_script, HONE_REPORT_SCRIPT);
#ifdef HONE_CHART_JS
EMBED(report_chart_library, HONE_CHART_JS);
#else
const char report_chart_library[] = "";
#endif
