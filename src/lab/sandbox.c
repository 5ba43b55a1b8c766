#include "lab/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/system.h"
#include "lab/sandbox_int.h"

enum { TICK_MS = 50 };

const sandbox_limits sandbox_usual_limits = {
    .wall_s = 10, .memory_bytes = (uint64_t)1 << 30, .file_bytes = 64 << 20, .n_processes = 64,
    .output_bytes = 1 << 20};

/* The side that starts and watches. */
typedef struct sandbox {
    sandbox_job *job;
    sandbox_plan plan;
    int go, output, report; /* our ends of the pipes; −1 = closed */
    pid_t pid;              /* of its first process */
    double start_ms;
    uint64_t n_output;
    sandbox_report said;
    bool has_said;
} sandbox;

/* --- starting --- */

static hone_status make_pipes(sandbox *s) {
    int go[2], output[2], report[2];
    if (pipe2(go, O_CLOEXEC) != 0) return fail(HONE_ERR_IO, "no pipe: %s", strerror(errno));
    s->plan.go = go[0], s->go = go[1];
    if (pipe2(output, O_CLOEXEC) != 0) return fail(HONE_ERR_IO, "no pipe: %s", strerror(errno));
    s->output = output[0], s->plan.output = output[1];
    if (pipe2(report, O_CLOEXEC) != 0) return fail(HONE_ERR_IO, "no pipe: %s", strerror(errno));
    s->report = report[0], s->plan.report = report[1];
    return HONE_OK;
}

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static bool write_file(pid_t pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text);
}

/* Nobody inside is nobody outside where we are root, and ourselves otherwise: that is all an
 * ordinary user may map. */
static hone_status map_ids(const sandbox *s) {
    char users[64], groups[64];
    unsigned user = s->plan.as_root ? SANDBOX_USER : geteuid();
    unsigned group = s->plan.as_root ? SANDBOX_USER : getegid();
    snprintf(users, sizeof users, "%d %u 1", SANDBOX_USER, user);
    snprintf(groups, sizeof groups, "%d %u 1", SANDBOX_USER, group);
    if ((s->plan.as_root || write_file(s->pid, "setgroups", "deny")) &&
        write_file(s->pid, "gid_map", groups) && write_file(s->pid, "uid_map", users))
        return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "no sandbox: the system does not let user ids be mapped (%s)",
                strerror(errno));
}

/* As fork, into new namespaces. */
static pid_t clone_process(void) {
    unsigned long flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                          CLONE_NEWUTS | CLONE_NEWCGROUP | SIGCHLD;
    return (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
}

static hone_status start(sandbox *s) {
    s->plan.job = s->job;
    s->plan.as_root = geteuid() == 0;
    snprintf(s->plan.root, sizeof s->plan.root, "/tmp/hone-sandbox-XXXXXX");
    if (!mkdtemp(s->plan.root))
        return fail(HONE_ERR_IO, "%s: %s", s->plan.root, strerror(errno));
    TRY(make_pipes(s));
    s->start_ms = clock_ms();
    s->pid = clone_process();
    if (s->pid == 0) sandbox_inside(&s->plan);
    if (s->pid < 0)
        return fail(HONE_ERR_UNSUPPORTED,
                    "no sandbox: this system or container does not allow user namespaces (%s)",
                    strerror(errno));
    close_end(&s->plan.go);
    close_end(&s->plan.output);
    close_end(&s->plan.report);
    TRY(map_ids(s));
    if (write(s->go, "", 1) != 1) return fail(HONE_ERR_IO, "sandbox: %s", strerror(errno));
    return HONE_OK;
}

/* --- watching --- */

typedef struct process {
    pid_t pid, parent;
    uint64_t bytes;
    bool ours;
} process;

/* "pid (name) state ppid …", where the name may hold anything; resident pages are field 24. */
static bool read_process(process *p, const char *pid) {
    char path[300], text[1024];
    long pages = 0;
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *behind = strrchr(text, ')');
    if (!behind || sscanf(behind, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                                  "%*d %*d %*d %*d %*u %*u %ld", &parent, &pages) != 2)
        return false;
    *p = (process){.pid = atoi(pid), .parent = parent,
                   .bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE)};
    return true;
}

static size_t list_processes(process *list, size_t most) {
    size_t n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && n < most && (entry = readdir(proc));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            n += read_process(&list[n], entry->d_name);
    if (proc) closedir(proc);
    return n;
}

/* What all processes of the sandbox have resident: those below its first one, which also takes over
 * every orphan. */
static uint64_t resident_bytes(const sandbox *s) {
    enum { MOST = 4096 };
    process *list = mem_calloc(MOST, sizeof *list);
    uint64_t sum = 0;
    size_t n = list ? list_processes(list, MOST) : 0;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            bool ours = list[i].pid == s->pid;
            for (size_t k = 0; k < n && !ours; k++)
                ours = list[k].ours && list[k].pid == list[i].parent;
            if (!ours || list[i].ours) continue;
            list[i].ours = more = true;
            sum += list[i].bytes;
        }
    }
    mem_free(list);
    return sum;
}

/* Takes what can be read; the first bytes are kept. False when the pipe has ended. */
static bool read_output(sandbox *s) {
    char block[65536];
    ssize_t n = read(s->output, block, sizeof block);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++) {
        if (s->n_output + (uint64_t)i + 1 >= SANDBOX_MAX_SHOWN) break;
        s->job->output[s->n_output + (uint64_t)i] = block[i];
    }
    s->n_output += (uint64_t)n;
    return n > 0;
}

static bool read_report(sandbox *s) {
    ssize_t n = read(s->report, &s->said, sizeof s->said);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    s->has_said = n == (ssize_t)sizeof s->said;
    return false;
}

/* The end at a limit; SANDBOX_EXITED while none is reached. */
static sandbox_end limit_reached(const sandbox *s, bool look_at_memory) {
    const sandbox_limits *l = &s->job->limits;
    if (s->n_output > l->output_bytes) return SANDBOX_OUTPUT;
    if (clock_ms() - s->start_ms > l->wall_s * 1000) return SANDBOX_TIME;
    if (look_at_memory && resident_bytes(s) > l->memory_bytes) return SANDBOX_MEMORY;
    return SANDBOX_EXITED;
}

/* Until its first process has told how the program ended, or a limit is reached. */
static void watch(sandbox *s) {
    double next_look = s->start_ms + 2 * TICK_MS;
    s->job->end = SANDBOX_EXITED;
    for (bool open = true; open && s->job->end == SANDBOX_EXITED;) {
        struct pollfd ends[] = {{.fd = s->report, .events = POLLIN},
                                {.fd = s->output, .events = POLLIN}};
        poll(ends, 2, TICK_MS);
        if (ends[1].revents && !read_output(s)) close_end(&s->output);
        if (ends[0].revents) open = read_report(s);
        bool look = clock_ms() >= next_look;
        if (open) s->job->end = limit_reached(s, look);
        if (look) next_look = clock_ms() + 2 * TICK_MS;
    }
}

/* What is still in the pipe when all have ended. */
static void drain(sandbox *s) {
    if (s->output < 0) return;
    fcntl(s->output, F_SETFL, O_NONBLOCK);
    while (s->n_output <= s->job->limits.output_bytes) {
        uint64_t before = s->n_output;
        if (!read_output(s) || s->n_output == before) break;
    }
    if (s->job->end == SANDBOX_EXITED && s->n_output > s->job->limits.output_bytes)
        s->job->end = SANDBOX_OUTPUT;
}

/* Its first process takes all others along. */
static void finish(sandbox *s) {
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
    drain(s);
    uint64_t n = s->n_output < SANDBOX_MAX_SHOWN ? s->n_output : SANDBOX_MAX_SHOWN - 1;
    s->job->output[n] = '\0';
    s->job->seconds = (clock_ms() - s->start_ms) / 1000;
    close_end(&s->go);
    close_end(&s->output);
    close_end(&s->report);
    close_end(&s->plan.go);
    close_end(&s->plan.output);
    close_end(&s->plan.report);
    rmdir(s->plan.root);
}

static hone_status interpret(const sandbox *s) {
    sandbox_job *job = s->job;
    if (s->has_said && s->said.error)
        return fail(HONE_ERR_UNSUPPORTED, "no sandbox: could not %.55s: %s", s->said.step,
                    strerror(s->said.error));
    if (job->end != SANDBOX_EXITED) return HONE_OK;
    if (!s->has_said) {
        /* Its first process is gone without a word: the system killed it for want of memory. */
        job->end = SANDBOX_MEMORY;
        return HONE_OK;
    }
    bool exited = WIFEXITED(s->said.status);
    job->end = exited ? SANDBOX_EXITED : SANDBOX_SIGNALLED;
    job->code = exited ? WEXITSTATUS(s->said.status) : WTERMSIG(s->said.status);
    return HONE_OK;
}

static hone_status run(sandbox_job *job) {
    sandbox s = {.job = job, .go = -1, .output = -1, .report = -1, .pid = -1,
                 .plan = {.go = -1, .output = -1, .report = -1}};
    job->code = 0;
    job->output[0] = '\0';
    hone_status status = start(&s);
    if (status == HONE_OK) watch(&s);
    finish(&s);
    return status == HONE_OK ? interpret(&s) : status;
}

/* --- is there one? --- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hone_status checked;
static char why_not[512];

/* Two processes with a pipe between them: what compilers need. */
static void check(void) {
    static const char *const argv[] = {"/bin/sh", "-c", "echo fine | cat", NULL};
    sandbox_job job = {.argv = argv, .limits = sandbox_usual_limits};
    checked = run(&job);
    if (checked == HONE_OK &&
        (job.end != SANDBOX_EXITED || job.code != 0 || strcmp(job.output, "fine\n") != 0))
        checked = fail(HONE_ERR_UNSUPPORTED,
                       "no sandbox: a trial program did not run in it: %.200s", job.output);
    if (checked != HONE_OK) snprintf(why_not, sizeof why_not, "%s", hone_error_message());
}

const char *sandbox_why_not(void) {
    pthread_once(&once, check);
    return checked == HONE_OK ? NULL : why_not;
}

hone_status sandbox_check(void) {
    const char *why = sandbox_why_not();
    return why ? fail(HONE_ERR_UNSUPPORTED, "%s", why) : HONE_OK;
}

hone_status sandbox_run(sandbox_job *job) {
    TRY(sandbox_check());
    return run(job);
}

const char *sandbox_end_words(const sandbox_job *job, char *text, size_t size) {
    switch (job->end) {
    case SANDBOX_EXITED: snprintf(text, size, "exited with %d", job->code); break;
    case SANDBOX_SIGNALLED: snprintf(text, size, "ended by signal %d", job->code); break;
    case SANDBOX_TIME: snprintf(text, size, "ran out of time"); break;
    case SANDBOX_MEMORY: snprintf(text, size, "took too much memory"); break;
    case SANDBOX_OUTPUT: snprintf(text, size, "wrote too much"); break;
    }
    return text;
}
