#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/system.h"

extern char **environ;

enum { LINE_BYTES = 1000, TICK_MS = 100 };

/* --- its environment: ours, with another TMPDIR --- */

static char **make_environment(char *tmpdir) {
    size_t n = 0, kept = 0;
    while (environ[n]) n++;
    char **list = mem_calloc(n + 2, sizeof *list);
    if (!list) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "TMPDIR=", 7) != 0 || !tmpdir) list[kept++] = environ[i];
    if (tmpdir) list[kept] = tmpdir;
    return list;
}

static hone_status spawn(const child *c, int output, pid_t *pid) {
    char tmpdir[4200];
    snprintf(tmpdir, sizeof tmpdir, "TMPDIR=%s", c->temp_folder ? c->temp_folder : "");
    char **environment = make_environment(c->temp_folder ? tmpdir : NULL);
    if (!environment) return mem_fail("environment", 0);

    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawnattr_setpgroup(&attributes, 0); /* so that all of it can be ended at once */
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawnp(pid, c->argv[0], &files, &attributes, (char *const *)c->argv,
                             environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    mem_free(environment);
    if (error == 0) return HONE_OK;
    return fail(error == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: cannot start: %s",
                c->argv[0], strerror(error));
}

/* --- its output --- */

typedef struct reader {
    child *c;
    char line[LINE_BYTES + 1];
    size_t n;
} reader;

static void remember(child *c, const char *line) {
    size_t room = sizeof c->last_words, old = strlen(c->last_words), n = strlen(line);
    if (n >= room / 2) line += n - room / 2, n = room / 2;
    if (old && old + n + 4 > room) { /* whole lines go, the oldest first */
        const char *next = strstr(c->last_words + (old + n + 4 - room), " | ");
        size_t kept = next ? strlen(next + 3) : 0;
        memmove(c->last_words, c->last_words + old - kept, kept + 1);
        old = kept;
    }
    snprintf(c->last_words + old, room - old, "%s%s", old ? " | " : "", line);
}

static bool end_line(reader *r) {
    r->line[r->n] = 0;
    r->n = 0;
    if (strspn(r->line, " \t") == strlen(r->line)) return true;
    remember(r->c, r->line);
    return !r->c->observe || r->c->observe(r->c->context, r->line);
}

static bool take_output(reader *r, const char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool ends = data[i] == '\n' || data[i] == '\r';
        if (ends && !end_line(r)) return false;
        if (!ends && r->n < LINE_BYTES) r->line[r->n++] = data[i];
    }
    return true;
}

/* Until its output ends. False when the observer asked for an end. */
static bool follow(child *c, int fd) {
    reader r = {.c = c};
    double next_tick = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, TICK_MS);
        if (ready < 0 && errno != EINTR) return true;
        double now = clock_ms();
        if (now >= next_tick) { /* chatter must not keep us from looking around */
            if (c->observe && !c->observe(c->context, NULL)) return false;
            next_tick = now + TICK_MS;
        }
        if (ready <= 0) continue;
        char block[4096];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return end_line(&r);
        if (!take_output(&r, block, (size_t)n)) return false;
    }
}

static hone_status wait_for(child *c, pid_t pid, bool ended_by_us) {
    int how = 0;
    /* Grandchildren may hold nothing of ours any more, but must not run on. */
    if (ended_by_us) kill(-pid, SIGKILL);
    while (waitpid(pid, &how, 0) < 0)
        if (errno != EINTR) return fail(HONE_ERR_IO, "%s: %s", c->argv[0], strerror(errno));
    kill(-pid, SIGKILL);
    if (ended_by_us) return HONE_ERR_CANCELLED;
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return HONE_OK;
    if (WIFSIGNALED(how))
        return fail(HONE_ERR_IO, "%s: killed by signal %d: %s", c->argv[0], WTERMSIG(how),
                    c->last_words);
    return fail(HONE_ERR_IO, "%s: failed with exit code %d: %s", c->argv[0], WEXITSTATUS(how),
                c->last_words);
}

hone_status child_run(child *c) {
    int ends[2];
    pid_t pid;
    c->last_words[0] = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(HONE_ERR_IO, "%s: no pipe: %s", c->argv[0], strerror(errno));
    hone_status status = spawn(c, ends[1], &pid);
    close(ends[1]);
    if (status == HONE_OK) status = wait_for(c, pid, !follow(c, ends[0]));
    close(ends[0]);
    return status;
}
