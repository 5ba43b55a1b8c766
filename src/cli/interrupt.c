/* The handler does only what is safe in one: flags, one atomic store in the session, _exit. */
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/cli.h"

static _Atomic(hone_session *) armed_sessions[INTERRUPT_MAX_SESSIONS];
static _Atomic(hone_model *) armed_model;
static atomic_bool armed, held, final;
static atomic_int n_seen;
static int wake_pipe[2] = {-1, -1}; /* whoever waits for a person waits for this, too */

static void handle(int signal_number) {
    if (signal_number == SIGTERM) atomic_store(&final, true);
    hone_model *model = atomic_load(&armed_model);
    bool again = atomic_fetch_add(&n_seen, 1) > 0;
    if (!atomic_load(&held) && (again || !atomic_load(&armed))) _exit(CLI_INTERRUPTED);
    int errno_before = errno;
    if (write(wake_pipe[1], "", 1) < 0) errno = errno_before; /* full: the reader wakes anyway */
    for (int i = 0; i < INTERRUPT_MAX_SESSIONS; i++) {
        hone_session *session = atomic_load(&armed_sessions[i]);
        if (session) hone_session_cancel(session);
    }
    if (model) hone_transcribe_cancel(model);
}

void interrupt_init(void) {
    if (pipe(wake_pipe) == 0) {
        for (int i = 0; i < 2; i++) {
            fcntl(wake_pipe[i], F_SETFD, FD_CLOEXEC);
            fcntl(wake_pipe[i], F_SETFL, O_NONBLOCK);
        }
    }
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is a failed write like any other */
}

static void forget(void) {
    char drained[16];
    while (read(wake_pipe[0], drained, sizeof drained) > 0) continue;
    atomic_store(&n_seen, 0);
}

void interrupt_arm(hone_session *session) {
    forget();
    atomic_store(&armed_sessions[0], session);
    atomic_store(&armed, true);
}

void interrupt_arm_also(hone_session *session) {
    int i = 1;
    while (i < INTERRUPT_MAX_SESSIONS && atomic_load(&armed_sessions[i])) i++;
    if (i < INTERRUPT_MAX_SESSIONS) atomic_store(&armed_sessions[i], session);
}

void interrupt_arm_model(hone_model *model) {
    interrupt_arm(NULL);
    atomic_store(&armed_model, model);
}

void interrupt_hold(void) {
    forget();
    atomic_store(&held, true);
}

void interrupt_disarm(void) {
    atomic_store(&held, false);
    atomic_store(&armed, false);
    for (int i = 0; i < INTERRUPT_MAX_SESSIONS; i++) atomic_store(&armed_sessions[i], NULL);
    atomic_store(&armed_model, NULL);
}

bool interrupt_seen(void) { return interrupt_count() > 0; }

int interrupt_count(void) { return atomic_load(&n_seen); }

bool interrupt_wait_readable(int fd) {
    struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = wake_pipe[0], .events = POLLIN}};
    while (!interrupt_seen() && poll(both, 2, -1) < 0 && errno == EINTR) continue;
    return !interrupt_seen();
}

bool interrupt_is_final(void) {
    return atomic_load(&final);
}
