/* Programs that try to get out, or to take more than their share. */
#include "lab/sandbox.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/system.h"
#include "files.h"
#include "lab/code_run.h"
#include "test.h"

#define NEED_SANDBOX() \
    if (sandbox_check() != HONE_OK) SKIP("%s", hone_error_message())

static sandbox_job run_with(const char *script, const char *folder, sandbox_limits limits) {
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    sandbox_job job = {.argv = argv, .folder = folder, .limits = limits};
    CHECK_OK(sandbox_run(&job));
    job.argv = NULL;
    return job;
}

static sandbox_job run_shell(const char *script) {
    return run_with(script, NULL, sandbox_usual_limits);
}

static sandbox_job run_python(const char *program, sandbox_limits limits) {
    const char *const argv[] = {"/usr/bin/python3", "-c", program, NULL};
    sandbox_job job = {.argv = argv, .limits = limits};
    CHECK_OK(sandbox_run(&job));
    job.argv = NULL;
    return job;
}

#define NEED_PYTHON() \
    NEED_SANDBOX();   \
    if (access("/usr/bin/python3", X_OK) != 0) SKIP("/usr/bin/python3 is missing")

/* --- it works --- */

static void programs_run_and_tell_how_they_ended(void) {
    NEED_SANDBOX();
    char words[64];
    sandbox_job job = run_shell("echo out; echo err >&2; exit 3");
    CHECK(job.end == SANDBOX_EXITED && job.code == 3);
    CHECK_MSG(strcmp(job.output, "out\nerr\n") == 0, "%s", job.output);
    CHECK(strcmp(sandbox_end_words(&job, words, sizeof words), "exited with 3") == 0);
    job = run_shell("kill -SEGV $$");
    CHECK(job.end == SANDBOX_SIGNALLED && job.code == SIGSEGV);
    job = run_shell("echo x > here && cat here && pwd && echo $HOME");
    CHECK_MSG(strcmp(job.output, "x\n/work\n/work\n") == 0, "%s", job.output);
}

static void the_callers_folder_is_there_to_be_read(void) {
    NEED_SANDBOX();
    test_folder tmp = test_folder_make();
    char path[4096];
    snprintf(path, sizeof path, "%s", test_path(tmp.path, "x"));
    FILE *f = fopen(path, "w");
    fputs("hello", f);
    fclose(f);
    chmod(tmp.path, 0755);
    sandbox_job job = run_with("cat /program/x; echo no > /program/x; echo no > /program/y; "
                               "rm /program/x; ls /program", tmp.path, sandbox_usual_limits);
    CHECK_MSG(strncmp(job.output, "hello", 5) == 0, "%s", job.output);
    CHECK(access(path, F_OK) == 0 && access(test_path(tmp.path, "y"), F_OK) != 0);
    test_folder_remove(&tmp);
}

/* --- looking out --- */

static void there_is_no_network(void) {
    NEED_PYTHON();
    sandbox_job job = run_python(
        "import socket\n"
        "for host in ['127.0.0.1', '1.1.1.1', '10.0.0.1']:\n"
        "    s = socket.socket(); s.settimeout(2)\n"
        "    try: s.connect((host, 80)); print('connected', host)\n"
        "    except OSError as e: print(e.errno)\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect('/run/dbus/system_bus_socket'); print('connected')\n"
        "except OSError as e: print('no socket')\n"
        "print(open('/sys/class/net').read())\n", sandbox_usual_limits);
    CHECK_MSG(!strstr(job.output, "connected") && strstr(job.output, "101") &&
              strstr(job.output, "no socket"), "%s", job.output);
    CHECK(job.code == 1);
}

static void other_files_cannot_be_seen(void) {
    NEED_SANDBOX();
    const char *home = getenv("HOME");
    char script[4400];
    snprintf(script, sizeof script,
             "ls -a '%s' /root /home /var /run /srv /mnt /sys /proc; cat /etc/passwd /etc/shadow; "
             "ls /; ls -a /tmp /work; echo end", home ? home : "/root");
    sandbox_job job = run_shell(script);
    CHECK_MSG(strstr(job.output, "end\n") && !strstr(job.output, "root:") &&
              !strstr(job.output, ".bash") && !strstr(job.output, ".cache"), "%s", job.output);
    job = run_shell("ls /");
    CHECK_MSG(!strstr(job.output, "proc") && !strstr(job.output, "home") &&
              !strstr(job.output, "root"), "%s", job.output);
}

static void the_system_cannot_be_written(void) {
    NEED_SANDBOX();
    sandbox_job job = run_shell(
        "for d in / /usr /usr/bin /etc /dev /lib /usr/local /etc/alternatives; do "
        "touch $d/hone-was-here 2>/dev/null && echo wrote $d; done; "
        "mkdir /new 2>/dev/null && echo made; rm -f /usr/bin/env 2>/dev/null; test -e /usr/bin/env && "
        "echo stays; id -u; chmod 777 /usr 2>/dev/null && echo changed; echo end");
    CHECK_MSG(strcmp(job.output, "stays\n65534\nend\n") == 0, "%s", job.output);
}

static void other_processes_cannot_be_reached(void) {
    NEED_PYTHON();
    char program[600];
    snprintf(program, sizeof program,
             "import os, ctypes, signal\n"
             "libc = ctypes.CDLL(None, use_errno=True)\n"
             "for pid in (%d, %d):\n"
             "    try: os.kill(pid, signal.SIGKILL); print('killed', pid)\n"
             "    except OSError as e: print('no', e.errno)\n"
             "try: os.kill(1, signal.SIGKILL)\n"
             "except OSError as e: print('no')\n"
             "print(libc.ptrace(16, %d, 0, 0), libc.ptrace(16, 1, 0, 0))\n"
             "print(os.getpid() < 10)\n", (int)getpid(), (int)getppid(), (int)getpid());
    sandbox_job job = run_python(program, sandbox_usual_limits);
    CHECK_MSG(!strstr(job.output, "killed") && strstr(job.output, "-1 -1\nTrue"), "%s", job.output);
}

static void namespaces_mounts_and_privileges_are_refused(void) {
    NEED_PYTHON();
    sandbox_job job = run_python(
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "bad = []\n"
        "if libc.unshare(0x10000000) == 0: bad.append('unshare')\n"
        "if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0: bad.append('mount')\n"
        "if libc.umount(b'/tmp') == 0: bad.append('umount')\n"
        "if libc.setuid(0) == 0: bad.append('setuid')\n"
        "if libc.chroot(b'/tmp') == 0: bad.append('chroot')\n"
        "if libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) == 0: os._exit(9)\n"
        "if libc.mount(b'proc', b'/work', b'proc', 0, None) == 0: bad.append('proc')\n"
        "if libc.sethostname(b'x', 1) == 0: bad.append('hostname')\n"
        "if libc.shmget(0, 4096, 0o1600) >= 0: bad.append('shmget')\n"
        "if libc.prctl(22, 0) == 0: bad.append('seccomp')\n"
        "for p in ('/proc/self/mem', '/proc/1/environ', '/proc/sysrq-trigger', '/dev/mem', '/dev/sda',\n"
        "          '/dev/kmsg', '/sys/kernel'):\n"
        "    if os.path.exists(p): bad.append(p)\n"
        "print('bad', bad)\n",
        sandbox_usual_limits);
    CHECK_MSG(strcmp(job.output, "bad []\n") == 0, "%s", job.output);
}

static void open_files_are_not_handed_down(void) {
    NEED_SANDBOX();
    int fds[2];
    CHECK(pipe(fds) == 0); /* not close-on-exec */
    char script[128];
    snprintf(script, sizeof script, "(echo leak >&%d) 2>/dev/null && echo leaked; echo end",
             fds[1]);
    sandbox_job job = run_shell(script);
    CHECK_MSG(strcmp(job.output, "end\n") == 0, "%s", job.output);
    close(fds[0]);
    close(fds[1]);
}

/* --- taking too much --- */

static void endless_work_ends_in_time(void) {
    NEED_SANDBOX();
    sandbox_limits l = sandbox_usual_limits;
    l.wall_s = 0.5;
    double start = clock_ms();
    CHECK(run_with("while :; do :; done", NULL, l).end == SANDBOX_TIME);
    CHECK(run_with("sleep 100", NULL, l).end == SANDBOX_TIME);
    CHECK(run_with("trap '' TERM INT HUP; sleep 100 & sleep 100", NULL, l).end == SANDBOX_TIME);
    CHECK_MSG(clock_ms() - start < 20000, "%g ms", clock_ms() - start);
}

static void nothing_runs_on_behind_the_program(void) {
    NEED_SANDBOX();
    test_folder tmp = test_folder_make();
    chmod(tmp.path, 0777);
    const char *const argv[] = {
        "/bin/sh", "-c", "(setsid sh -c 'sleep 1; touch /program/late' &) ; echo gone", NULL};
    sandbox_job job = {.argv = argv, .folder = tmp.path, .may_write = true,
                       .limits = sandbox_usual_limits};
    CHECK_OK(sandbox_run(&job));
    CHECK(job.end == SANDBOX_EXITED && job.seconds < 1);
    sleep(2);
    CHECK(access(test_path(tmp.path, "late"), F_OK) != 0);
    test_folder_remove(&tmp);
}

static void a_fork_bomb_fizzles_out(void) {
    NEED_PYTHON();
    sandbox_limits l = sandbox_usual_limits;
    l.wall_s = 3;
    sandbox_job job = run_python(
        "import os, time\n"
        "n = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(60)\n"
        "        n += 1\n"
        "except OSError: print(n)\n", l);
    CHECK_MSG(job.end == SANDBOX_EXITED && atoi(job.output) > 0 && atoi(job.output) < 64, "%s",
              job.output);
    job = run_with("b() { b | b & }; b; sleep 60", NULL, l);
    CHECK(job.end == SANDBOX_TIME || job.end == SANDBOX_EXITED);
}

static void memory_has_a_limit_alone_and_together(void) {
    NEED_PYTHON();
    sandbox_limits l = sandbox_usual_limits;
    l.memory_bytes = 200 << 20;
    sandbox_job job = run_python("x = bytearray(400 << 20); print('had it')", l);
    CHECK_MSG(!strstr(job.output, "had it"), "%s", job.output);
    CHECK(run_python("x = bytearray(50 << 20); print('had it')", l).code == 0);
    job = run_python("import os, time\n"
                     "for i in range(8):\n"
                     "    if os.fork() == 0: x = bytearray(b'1') * (90 << 20); time.sleep(60)\n"
                     "time.sleep(60)\n", l);
    CHECK_MSG(job.end == SANDBOX_MEMORY, "%d", (int)job.end);
}

static void disks_are_not_filled(void) {
    NEED_SANDBOX();
    sandbox_limits l = sandbox_usual_limits;
    l.file_bytes = 4 << 20;
    sandbox_job job = run_with(
        "head -c 8000000 /dev/zero > one; wc -c < one; "
        "for i in 1 2 3 4 5 6 7 8; do head -c 3000000 /dev/zero > f$i 2>/dev/null; done; "
        "cat f* one | wc -c", NULL, l);
    const char *line = strrchr(job.output, '\n');
    while (line && line > job.output && line[-1] != '\n') line--;
    CHECK_MSG(line && atol(line) <= 4 << 20, "%s", job.output);
    CHECK(run_with("for i in $(seq 1 10000); do : > n$i; done; ls | wc -l", NULL, l).end !=
          SANDBOX_OUTPUT);
}

static void endless_output_is_cut_off(void) {
    NEED_SANDBOX();
    sandbox_job job = run_shell("yes");
    CHECK(job.end == SANDBOX_OUTPUT && job.seconds < 5);
    CHECK(strlen(job.output) == SANDBOX_MAX_SHOWN - 1);
}

static void what_cannot_start_is_an_error(void) {
    NEED_SANDBOX();
    const char *const argv[] = {"/no/such/program", NULL};
    sandbox_job job = {.argv = argv, .limits = sandbox_usual_limits};
    CHECK(sandbox_run(&job) == HONE_ERR_UNSUPPORTED && strstr(hone_error_message(), "/no/such"));
}

/* --- code of answers under tests --- */

/* Whether the answer's code passes; the words of a fault hold `words`. */
static bool passes(const char *answer, const char *words) {
    static const char tests[] = "assert double(2) == 4, 'two'\nassert double(-1) == -2\n";
    bool passed = false;
    char *fault = NULL;
    CHECK_OK(code_test(answer, tests, &passed, &fault));
    CHECK_MSG(passed ? !fault : fault && strstr(fault, words), "%s", fault ? fault : "(none)");
    mem_free(fault);
    return passed;
}

static void answers_with_code_are_tested(void) {
    NEED_PYTHON();
    CHECK(passes("<think>```\nno\n```</think>So:\n```python\ndef double(x):\n    return 2 * x\n```",
                 ""));
    CHECK(passes("```\ndef double(x): return x + x\n```", ""));
    CHECK(!passes("```py\ndef double(x): return x + 2\n```", "exited with 1"));
    CHECK(!passes("```py\ndef double(x): return 5\n```", "two")); /* the program's own words */
    CHECK(!passes("```py\nimport sys; sys.exit(3)\n```", "exited with 3"));
    CHECK(!passes("def double(x): return 2 * x", "no code between"));
    CHECK(!passes("```cobol\nx\n```", "not run here"));
}

int main(void) {
    RUN(programs_run_and_tell_how_they_ended);
    RUN(the_callers_folder_is_there_to_be_read);
    RUN(there_is_no_network);
    RUN(other_files_cannot_be_seen);
    RUN(the_system_cannot_be_written);
    RUN(other_processes_cannot_be_reached);
    RUN(namespaces_mounts_and_privileges_are_refused);
    RUN(open_files_are_not_handed_down);
    RUN(endless_work_ends_in_time);
    RUN(nothing_runs_on_behind_the_program);
    RUN(a_fork_bomb_fizzles_out);
    RUN(memory_has_a_limit_alone_and_together);
    RUN(disks_are_not_filled);
    RUN(endless_output_is_cut_off);
    RUN(what_cannot_start_is_an_error);
    RUN(answers_with_code_are_tested);
    return test_summary();
}
