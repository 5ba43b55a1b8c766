/* The handler does only what is safe in one: flags, one atomic store in the session, _exit. */
#include "cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/cli.h"

static _Atomic(hone_session *) armed_session;
static atomic_bool armed, seen, final;

static void handle(int signal_number) {
    if (signal_number == SIGTERM) atomic_store(&final, true);
    if (!atomic_load(&armed) || atomic_exchange(&seen, true)) {
        _exit(CLI_INTERRUPTED);
    }
    hone_session *session = atomic_load(&armed_session);
    if (session) hone_session_cancel(session);
}

void interrupt_init(void) {
    /* Without SA_RESTART: a read that waits for a person returns and looks at the flag. */
    struct sigaction action = {.sa_handler = handle};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void interrupt_arm(hone_session *session) {
    atomic_store(&seen, false);
    atomic_store(&armed_session, session);
    atomic_store(&armed, true);
}

void interrupt_disarm(void) {
    atomic_store(&armed, false);
    atomic_store(&armed_session, NULL);
}

bool interrupt_seen(void) {
    return atomic_load(&seen);
}

bool interrupt_is_final(void) {
    return atomic_load(&final);
}
