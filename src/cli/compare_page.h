/* A comparison as a page for people. */
#ifndef CLI_COMPARE_PAGE_H
#define CLI_COMPARE_PAGE_H

#include "lab/compare.h"

/* Models and quantisations in one table; strategies in one for each task, with what they cost and
 * whether they are worth it; then every verdict in words. Returns an exit code. */
int compare_print(const comparison *c, bool markdown);

#endif
