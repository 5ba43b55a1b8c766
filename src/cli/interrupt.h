/* SIGINT and SIGTERM.
 *
 * By default they end the program at once with exit code 130. Between interrupt_arm and
 * interrupt_disarm the first one only asks: it sets the flag and cancels the session; the second
 * one ends the program. A chat goes on after SIGINT and leaves after SIGTERM. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

#include "hone/session.h"
#include "hone/transcribe.h"

/* Once, at the start of main; also makes SIGPIPE (see cli_finish_output) and SIGXFSZ harmless. */
void interrupt_init(void);

/* Clears the flag. `session` (may be NULL) is cancelled by the first signal. */
void interrupt_arm(hone_session *session);
/* A further session that the first signal cancels; at most INTERRUPT_MAX_SESSIONS in all. */
enum { INTERRUPT_MAX_SESSIONS = 32 };
void interrupt_arm_also(hone_session *session);
/* The same for a model that transcribes. */
void interrupt_arm_model(hone_model *model);
/* For a terminal that must be put back first: clears the flag; no signal ends the program until
 * interrupt_disarm. */
void interrupt_hold(void);
/* Back to ending at once. The flag stays for interrupt_seen. */
void interrupt_disarm(void);
bool interrupt_seen(void);
int interrupt_count(void); /* signals since the flag was cleared */
/* Waits until a read from `fd` would not block; false when a signal came first. */
bool interrupt_wait_readable(int fd);
/* Whether a SIGTERM was among them, ever. */
bool interrupt_is_final(void);

#endif
