/* The inside of a sandbox: a file system of its own, no privileges, limits; then the program.
 *
 * Runs in a process that was cloned from one with threads: only system calls, no allocation. Every
 * step that fails ends it all with a report; nothing is optional. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/sandbox_int.h"

static _Noreturn void give_up(const sandbox_plan *plan, const char *step, const char *what) {
    sandbox_report report = {.error = errno};
    snprintf(report.step, sizeof report.step, "%s %s", step, what);
    if (write(plan->report, &report, sizeof report) < 0) _exit(126);
    _exit(125);
}

/* --- the file system --- */

/* root + path, by value. */
typedef struct place {
    char text[4400];
} place;

static place inside(const sandbox_plan *plan, const char *path) {
    place p;
    snprintf(p.text, sizeof p.text, "%s%s", plan->root, path);
    return p;
}

/* The folder and those above it, within the new root. */
static void make_folder(const sandbox_plan *plan, const char *path) {
    place p = inside(plan, path);
    for (char *c = p.text + strlen(plan->root) + 1;; c++) {
        if (*c && *c != '/') continue;
        char kept = *c;
        *c = '\0';
        if (mkdir(p.text, 0755) != 0 && errno != EEXIST) give_up(plan, "make folder", path);
        *c = kept;
        if (!kept) return;
    }
}

/* The flags of a mount that a user namespace may not take away. */
static unsigned long locked_flags(const char *path) {
    struct statvfs st;
    unsigned long flags = 0;
    if (statvfs(path, &st) != 0) return 0;
    if (st.f_flag & ST_NOSUID) flags |= MS_NOSUID;
    if (st.f_flag & ST_NODEV) flags |= MS_NODEV;
    if (st.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
    if (st.f_flag & ST_RDONLY) flags |= MS_RDONLY;
    if (st.f_flag & ST_NOATIME) flags |= MS_NOATIME;
    if (st.f_flag & ST_RELATIME) flags |= MS_RELATIME;
    return flags;
}

/* What lies at `from` outside appears at `to`, with what is mounted below. Systems before
 * Linux 5.12 can protect only the top of it. */
static void bind(const sandbox_plan *plan, const char *from, const char *to, bool writable) {
    place p = inside(plan, to);
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | (writable ? 0 : MS_RDONLY);
    if (mount(from, p.text, NULL, MS_BIND | MS_REC, NULL) != 0) give_up(plan, "bind", from);
#ifdef SYS_mount_setattr
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID |
                                                (writable ? 0 : MOUNT_ATTR_RDONLY)};
    if (syscall(SYS_mount_setattr, AT_FDCWD, p.text, AT_RECURSIVE, &attributes,
                sizeof attributes) == 0)
        return;
#endif
    if (mount(NULL, p.text, NULL, flags | locked_flags(p.text), NULL) != 0)
        give_up(plan, "protect", from);
}

static void bind_folder(const sandbox_plan *plan, const char *from, const char *to, bool writable) {
    make_folder(plan, to);
    bind(plan, from, to, writable);
}

/* The way to it may be closed to nobody: so it is opened before. −1 = none. */
static int open_folder(const sandbox_plan *plan, const char *path) {
    int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (path && fd < 0) give_up(plan, "open", path);
    return fd;
}

static void bind_open_folder(const sandbox_plan *plan, int fd, const char *to, bool writable) {
    char from[32];
    if (fd < 0) return;
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    bind_folder(plan, from, to, writable);
}

/* A system folder: a link stays one (/bin → usr/bin), what is missing stays missing. */
static void bind_system(const sandbox_plan *plan, const char *path) {
    char target[256];
    ssize_t n = readlink(path, target, sizeof target - 1);
    struct stat st;
    if (n > 0) {
        target[n] = '\0';
        place p = inside(plan, path);
        if (symlink(target, p.text) != 0) give_up(plan, "link", path);
    } else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        bind_folder(plan, path, path, false);
    }
}

static void bind_device(const sandbox_plan *plan, const char *path) {
    place p = inside(plan, path);
    int fd = open(p.text, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) give_up(plan, "make", path);
    close(fd);
    if (mount(path, p.text, NULL, MS_BIND, NULL) != 0) give_up(plan, "bind", path);
}

/* A folder in memory; everybody may write. */
static void mount_memory(const sandbox_plan *plan, const char *path, uint64_t bytes) {
    char options[96];
    snprintf(options, sizeof options, "mode=1777,size=%llu,nr_inodes=4096",
             (unsigned long long)bytes);
    make_folder(plan, path);
    place p = inside(plan, path);
    if (mount("tmpfs", p.text, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        give_up(plan, "mount", path);
}

static void build_root(const sandbox_plan *plan, int folder, int tools) {
    static const char *const system[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
                                         "/libx32", "/etc/alternatives", NULL};
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom", NULL};
    const sandbox_job *job = plan->job;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) give_up(plan, "separate", "mounts");
    if (mount("tmpfs", plan->root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") != 0)
        give_up(plan, "mount", "the root");
    make_folder(plan, "/etc");
    make_folder(plan, "/dev");
    for (int i = 0; system[i]; i++) bind_system(plan, system[i]);
    for (int i = 0; devices[i]; i++) bind_device(plan, devices[i]);
    mount_memory(plan, "/tmp", job->limits.file_bytes);
    mount_memory(plan, SANDBOX_WORK, job->limits.file_bytes);
    bind_open_folder(plan, folder, SANDBOX_PROGRAM, job->may_write);
    bind_open_folder(plan, tools, job->tools, false);
}

/* The new root takes the place of the old one, of which nothing stays. */
static void enter_root(const sandbox_plan *plan) {
    if (chdir(plan->root) != 0) give_up(plan, "enter", "the root");
    if (syscall(SYS_pivot_root, ".", ".") != 0) give_up(plan, "change", "the root");
    if (umount2(".", MNT_DETACH) != 0) give_up(plan, "leave", "the old root");
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0)
        give_up(plan, "protect", "the root");
    if (chdir(SANDBOX_WORK) != 0) give_up(plan, "enter", SANDBOX_WORK);
}

/* --- privileges --- */

/* Calls by which others got out of such a place, or that leave memory which no limit counts. */
static const int refused[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_unshare, SYS_setns, SYS_mount,
    SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_keyctl, SYS_add_key, SYS_request_key, SYS_shmget, SYS_msgget, SYS_semget, SYS_memfd_create,
    SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon,
    SYS_swapoff, SYS_acct, SYS_quotactl, SYS_name_to_handle_at, SYS_open_by_handle_at,
    SYS_personality, SYS_io_setup,
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
#endif
#ifdef SYS_clone3
    SYS_clone3, /* its flags lie in memory that a filter cannot see; libraries fall back to clone */
#endif
};
enum { N_REFUSED = sizeof refused / sizeof *refused };

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define THIS_ARCHITECTURE 0 /* no filter fits: everything is refused */
#endif

#define LOAD(field) \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (value))
#define JUMP(test, value, yes, no) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_K | (test), (value), (yes), (no))

static void install_filter(const sandbox_plan *plan) {
    struct sock_filter code[2 * N_REFUSED + 16];
    unsigned short n = 0;
    code[n++] = LOAD(arch);
    code[n++] = JUMP(BPF_JEQ, THIS_ARCHITECTURE, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    code[n++] = LOAD(nr);
#if defined(__x86_64__)
    code[n++] = JUMP(BPF_JGE, 0x40000000, 0, 1); /* x32: the same calls under other numbers */
    code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
#endif
    for (int i = 0; i < N_REFUSED; i++) {
        code[n++] = JUMP(BPF_JEQ, (unsigned)refused[i], 0, 1);
        code[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    }
    code[n++] = JUMP(BPF_JEQ, SYS_clone, 0, 4); /* no new namespaces */
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             offsetof(struct seccomp_data, args[0]));
    code[n++] = JUMP(BPF_JSET, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                   CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, 0, 1);
    code[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {n, code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) give_up(plan, "filter", "calls");
}

/* Files that are made now have an owner whom the namespace knows. The capabilities within the
 * namespace stay until they are dropped. */
static void become_nobody(const sandbox_plan *plan) {
    if (plan->as_root && syscall(SYS_setgroups, 0, NULL) != 0) give_up(plan, "leave", "groups");
    if (syscall(SYS_setresgid, SANDBOX_USER, SANDBOX_USER, SANDBOX_USER) != 0 ||
        syscall(SYS_setresuid, SANDBOX_USER, SANDBOX_USER, SANDBOX_USER) != 0)
        give_up(plan, "become", "nobody");
}

static void drop_privileges(const sandbox_plan *plan) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    for (int cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL)
            give_up(plan, "drop", "capabilities");
    if (syscall(SYS_capset, &header, none) != 0) give_up(plan, "drop", "capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(plan, "refuse", "new privileges");
}

static void set_limit(const sandbox_plan *plan, int resource, uint64_t value, const char *name) {
    const struct rlimit limit = {value, value};
    if (setrlimit((__rlimit_resource_t)resource, &limit) != 0) give_up(plan, "limit", name);
}

static void set_limits(const sandbox_plan *plan) {
    const sandbox_limits *l = &plan->job->limits;
    set_limit(plan, RLIMIT_DATA, l->memory_bytes, "memory");
    set_limit(plan, RLIMIT_STACK, 64 << 20, "stack");
    set_limit(plan, RLIMIT_FSIZE, l->file_bytes, "file size");
    set_limit(plan, RLIMIT_CPU, (uint64_t)l->wall_s * 2 + 2, "processor time");
    set_limit(plan, RLIMIT_NPROC, l->n_processes, "processes");
    set_limit(plan, RLIMIT_NOFILE, 128, "open files");
    set_limit(plan, RLIMIT_CORE, 0, "core files");
    set_limit(plan, RLIMIT_MEMLOCK, 0, "locked memory");
    set_limit(plan, RLIMIT_MSGQUEUE, 0, "message queues");
}

/* --- the program --- */

static void take_files(const sandbox_plan *plan) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(plan->output, 1) < 0 || dup2(plan->output, 2) < 0)
        give_up(plan, "open", "stdin");
}

static void restore_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_program(const sandbox_plan *plan) {
    char libraries[4200] = "LD_LIBRARY_PATH="; /* $ORIGIN needs /proc, which is not there */
    char *const environment[] = {
        "PATH=/usr/bin:/bin:/usr/local/bin", "HOME=" SANDBOX_WORK, "TMPDIR=" SANDBOX_WORK,
        "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=0",
        plan->job->tools ? libraries : NULL, NULL};
    char *arguments[SANDBOX_MAX_ARGUMENTS + 1];
    int n = 0;
    while (n < SANDBOX_MAX_ARGUMENTS && plan->job->argv[n]) {
        arguments[n] = (char *)(uintptr_t)plan->job->argv[n];
        n++;
    }
    arguments[n] = NULL;
    if (plan->job->tools)
        snprintf(libraries, sizeof libraries, "LD_LIBRARY_PATH=%s/lib", plan->job->tools);
    take_files(plan);
    set_limits(plan);
    install_filter(plan);
    execve(arguments[0], arguments, environment);
    give_up(plan, "start", arguments[0]);
}

/* The first process stays between: it takes over orphans, and its end is the end of all. */
static _Noreturn void wait_for(const sandbox_plan *plan, pid_t program) {
    sandbox_report report = {.error = 0};
    for (;;) {
        int status;
        pid_t pid = wait(&status);
        if (pid < 0 && errno != EINTR) give_up(plan, "wait for", "the program");
        if (pid != program) continue;
        report.status = status;
        if (write(plan->report, &report, sizeof report) < 0) _exit(126);
        _exit(0);
    }
}

/* Everything but what the plan names goes. */
static void close_others(const sandbox_plan *plan) {
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < (most > 0 && most < 65536 ? most : 65536); fd++)
        if (fd != plan->go && fd != plan->output && fd != plan->report) close(fd);
}

_Noreturn void sandbox_inside(const sandbox_plan *plan) {
    char byte;
    restore_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(plan->go, &byte, 1) != 1) _exit(124); /* the other side is gone */
    close_others(plan);
    setsid();
    umask(022);
    int folder = open_folder(plan, plan->job->folder), tools = open_folder(plan, plan->job->tools);
    become_nobody(plan);
    build_root(plan, folder, tools);
    enter_root(plan);
    drop_privileges(plan);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, "tie", "to the caller");
    pid_t program = fork();
    if (program < 0) give_up(plan, "start", "a process");
    if (program == 0) become_program(plan);
    close(plan->output);
    wait_for(plan, program);
}
