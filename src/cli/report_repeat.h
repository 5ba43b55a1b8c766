/* `hone report --repeat`. */
#ifndef CLI_REPORT_REPEAT_H
#define CLI_REPORT_REPEAT_H

#include <stdbool.h>

#include "lab/results.h"

/* Runs the result's command again, in its folder and with its environment, and compares: CLI_OK
 * where it holds, CLI_NOT_MET where it does not or cannot be compared (another machine, another
 * file), else the command's own exit code. */
int report_repeat(results *r, int64_t id, bool json);

#endif
