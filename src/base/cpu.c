#include "base/cpu.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const char *const isa_names[] = {"scalar", "avx2", "avx512", "neon"};

/* The compiler's runtime asks cpuid and, for the wide registers, whether the system saves them. */
#if defined(__x86_64__)

/* clang 14 does not know this one by name. Asked once: under a hypervisor cpuid takes many
 * microseconds, and kernels are chosen for each row that is quantised. */
static bool has_f16c(void) {
    static atomic_int answer; /* 0: not asked yet */
    unsigned a, b, c = 0, d;
    if (!atomic_load(&answer))
        atomic_store(&answer, __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) ? 1 : -1);
    return atomic_load(&answer) > 0;
}

cpu_isa cpu_best_isa(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c())
        return CPU_SCALAR;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return CPU_AVX2;
    return CPU_AVX512;
}

unsigned cpu_extras(void) {
    if (cpu_best_isa() != CPU_AVX512) return 0;
    unsigned extras = 0;
    if (__builtin_cpu_supports("avx512vnni")) extras |= CPU_HAS_VNNI;
    if (__builtin_cpu_supports("avx512bf16")) extras |= CPU_HAS_BF16;
    return extras;
}

#elif defined(__aarch64__)

cpu_isa cpu_best_isa(void) { return CPU_NEON; }

unsigned cpu_extras(void) {
#if defined(__ARM_FEATURE_DOTPROD) || defined(__APPLE__)
    return CPU_HAS_DOTPROD;
#elif defined(__linux__) && defined(HWCAP_ASIMDDP)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? CPU_HAS_DOTPROD : 0;
#else
    return 0;
#endif
}

#else

cpu_isa cpu_best_isa(void) { return CPU_SCALAR; }

unsigned cpu_extras(void) { return 0; }

#endif

const char *cpu_isa_name(cpu_isa isa) { return isa_names[isa]; }

static bool has_isa(cpu_isa isa) {
    cpu_isa best = cpu_best_isa();
    return isa == CPU_SCALAR || isa == best || (isa == CPU_AVX2 && best == CPU_AVX512);
}

hone_status cpu_chosen_isa(cpu_isa *isa) {
    const char *word = getenv("HONE_CPU");
    if (!word || !*word) {
        *isa = cpu_best_isa();
        return HONE_OK;
    }
    for (int i = 0; i < (int)(sizeof isa_names / sizeof *isa_names); i++) {
        if (strcmp(word, isa_names[i]) != 0) continue;
        if (!has_isa((cpu_isa)i))
            return fail(HONE_ERR_UNSUPPORTED, "HONE_CPU: this machine has no %s", word);
        *isa = (cpu_isa)i;
        return HONE_OK;
    }
    return fail(HONE_ERR_ARGUMENT,
                "HONE_CPU: expected scalar, avx2, avx512 or neon, found \"%.32s\"", word);
}

/* --- how many processors --- */

enum { NO_QUOTA = 1 << 20 };

/* Whole processors in a quota, rounded up. */
static long processors_of(long long quota, long long period) {
    if (quota <= 0 || period <= 0) return NO_QUOTA;
    long long n = quota / period + (quota % period != 0);
    return n < NO_QUOTA ? (long)n : NO_QUOTA;
}

/* cgroup v2: "max 100000" or "150000 100000". */
static long quota_v2(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return NO_QUOTA;
    long long quota = 0, period = 0;
    int found = fscanf(file, "%lld %lld", &quota, &period);
    fclose(file);
    return found == 2 ? processors_of(quota, period) : NO_QUOTA;
}

static long long read_number(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    long long number = -1;
    if (fscanf(file, "%lld", &number) != 1) number = -1;
    fclose(file);
    return number;
}

static long least(long a, long b) { return a < b ? a : b; }

/* The quota of this process's group and of every group above it that is visible. Inside a container
 * the group's own folder is usually mounted as the root. */
static long quota_of_groups(void) {
    long n = quota_v2("/sys/fs/cgroup/cpu.max");
    n = least(n, processors_of(read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
                               read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us")));
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (!file) return n;
    char line[1024], path[1200];
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        char *group = line + 3;
        group[strcspn(group, "\n")] = 0;
        for (char *end = group + strlen(group); end > group; end = strrchr(group, '/')) {
            *end = 0;
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
            n = least(n, quota_v2(path));
        }
    }
    fclose(file);
    return n;
}

/* --- which of them are worth a thread --- */

#if defined(__linux__)

static long long number_of_processor(int cpu, const char *file) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
    return read_number(path);
}

/* Fills `set` from a list like "0-7,16"; false where there is no such file. */
static bool read_processor_list(const char *path, cpu_set_t *set) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    CPU_ZERO(set);
    int first, last;
    while (fscanf(file, "%d", &first) == 1) {
        last = first;
        int c = fgetc(file);
        if (c == '-' && fscanf(file, "%d", &last) == 1) c = fgetc(file);
        if (last >= CPU_SETSIZE) last = CPU_SETSIZE - 1;
        for (int cpu = first; cpu >= 0 && cpu <= last; cpu++) CPU_SET(cpu, set);
        if (c != ',') break;
    }
    fclose(file);
    return CPU_COUNT(set) > 0;
}

/* The kernel names fast cores by a list (Intel's hybrids) or by their capacity (Arm). */
static bool is_fast(int cpu, const cpu_set_t *fast, long long most_capacity) {
    if (fast) return CPU_ISSET(cpu, fast);
    long long capacity = number_of_processor(cpu, "cpu_capacity");
    return capacity < 0 || 10 * capacity >= 7 * most_capacity;
}

static void count_cores(cpu_choice *c, const cpu_set_t *allowed) {
    cpu_set_t listed, *fast = read_processor_list("/sys/devices/cpu_core/cpus", &listed) ? &listed
                                                                                        : NULL;
    long long most_capacity = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, allowed)) continue;
        long long capacity = number_of_processor(cpu, "cpu_capacity");
        most_capacity = capacity > most_capacity ? capacity : most_capacity;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, allowed)) continue;
        char path[96];
        cpu_set_t siblings;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        bool first = true; /* of the core's allowed processors */
        if (read_processor_list(path, &siblings))
            for (int other = 0; other < cpu && first; other++)
                first = !(CPU_ISSET(other, &siblings) && CPU_ISSET(other, allowed));
        c->n_cores += first;
        c->n_fast += first && is_fast(cpu, fast, most_capacity);
    }
}

#endif

cpu_choice cpu_choose_threads(void) {
    cpu_choice c = {.n_online = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    if (c.n_online < 1) c.n_online = 1;
    c.n_allowed = c.n_cores = c.n_fast = c.n_online;
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        c.n_allowed = CPU_COUNT(&allowed);
        c.n_cores = c.n_fast = 0;
        count_cores(&c, &allowed);
    }
    long quota = quota_of_groups();
    c.quota = quota < NO_QUOTA ? (int)quota : 0;
#endif
    c.n_threads = c.n_fast > 0 ? c.n_fast : c.n_cores;
    if (c.quota && c.quota < c.n_threads) c.n_threads = c.quota;
    if (c.n_threads < 1) c.n_threads = 1;
    return c;
}

int cpu_thread_count(int wanted) {
    cpu_choice c = cpu_choose_threads();
    if (wanted <= 0) return c.n_threads;
    return c.quota && c.quota < wanted ? c.quota : wanted;
}

int cpu_usable_count(void) {
    cpu_choice c = cpu_choose_threads();
    return c.quota && c.quota < c.n_allowed ? c.quota : c.n_allowed;
}
