/* What Linux tells about itself in /proc and /sys. */
#include "lab/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/sha256.h"
#include "base/system.h"

void machine_processor_name(char *name, size_t n) {
    struct utsname system;
    snprintf(name, n, "%s", uname(&system) == 0 ? system.machine : "unknown");
    FILE *in = fopen("/proc/cpuinfo", "r");
    char line[512];
    while (in && fgets(line, sizeof line, in)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, n, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (in) fclose(in);
}

/* --- what it is --- */

hone_status machine_describe(machine_description *m) {
    struct utsname system;
    char text[512];
    sha256_hex hex;
    cpu_choice choice = cpu_choose_threads();
    unsigned extras = cpu_extras();
    *m = (machine_description){.n_cores = choice.n_cores, .n_processors = choice.n_online,
                               .memory_bytes = system_look_at_memory("").limit,
                               .cache_bytes = system_cache_bytes()};
    machine_processor_name(m->cpu, sizeof m->cpu);
    snprintf(m->features, sizeof m->features, "%s%s%s%s", cpu_isa_name(cpu_best_isa()),
             extras & CPU_HAS_VNNI ? " vnni" : "", extras & CPU_HAS_BF16 ? " bf16" : "",
             extras & CPU_HAS_DOTPROD ? " dotprod" : "");
    if (uname(&system) == 0) {
        snprintf(m->kernel, sizeof m->kernel, "%.40s %.80s", system.sysname, system.release);
    }
    snprintf(text, sizeof text, "%s\n%s\n%d\n%llu", m->cpu, m->features, m->n_cores,
             (unsigned long long)(m->memory_bytes + (1u << 29)) >> 30);
    TRY(sha256_of_text(&hex, text));
    memcpy(m->fingerprint, hex.text, sizeof m->fingerprint - 1);
    return HONE_OK;
}

/* --- what happens on it --- */

/* The number behind `key` at a line's start; 0 where there is none. */
static uint64_t number_behind(const char *path, const char *key) {
    FILE *in = fopen(path, "r");
    char line[512];
    size_t n = strlen(key);
    uint64_t number = 0;
    while (in && fgets(line, sizeof line, in)) {
        if (strncmp(line, key, n) != 0) continue;
        number = strtoull(line + n, NULL, 10);
        break;
    }
    if (in) fclose(in);
    return number;
}

/* --- the control group --- */

/* This process's group in the hierarchy of `controller` ("" is version 2's only one): the path
 * behind "N:controllers:" in /proc/self/cgroup. */
static bool find_group(const char *controller, char *path, size_t n) {
    FILE *in = fopen("/proc/self/cgroup", "r");
    char line[512];
    bool found = false;
    while (in && !found && fgets(line, sizeof line, in)) {
        char *list = strchr(line, ':'), *where = list ? strchr(list + 1, ':') : NULL;
        if (!where) continue;
        *where = '\0';
        found = !strcmp(list + 1, controller);
        if (found) snprintf(path, n, "%.*s", (int)strcspn(where + 1, "\n"), where + 1);
    }
    if (in) fclose(in);
    return found;
}

/* The number behind `key` in a file of the group: below its path, or where a container sees its own
 * group at the root. */
static uint64_t group_number(const char *hierarchy, const char *group, const char *name,
                             const char *key) {
    char path[1024];
    snprintf(path, sizeof path, "%s%s/%s", hierarchy, group, name);
    if (access(path, R_OK) != 0) snprintf(path, sizeof path, "%s/%s", hierarchy, name);
    return number_behind(path, key);
}

/* Times that the quota stopped the group: a container's own, so that the names of version 1 and 2
 * are both looked for. */
static uint64_t count_throttled(void) {
    char group[512];
    if (find_group("cpu", group, sizeof group) || find_group("cpu,cpuacct", group, sizeof group)) {
        return group_number("/sys/fs/cgroup/cpu", group, "cpu.stat", "nr_throttled ");
    }
    if (!find_group("", group, sizeof group)) return 0;
    return group_number("/sys/fs/cgroup", group, "cpu.stat", "nr_throttled ");
}

/* --- counters --- */

/* Time that all processors spent working since the start of the machine (user, nice, system, irq
 * and softirq of /proc/stat), and that they were kept waiting by the host (steal). */
static void look_at_processors(double *busy_ms, double *stolen_ms) {
    unsigned long long t[8] = {0};
    FILE *in = fopen("/proc/stat", "r");
    if (!in) return;
    int n = fscanf(in, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
                   &t[4], &t[5], &t[6], &t[7]);
    fclose(in);
    if (n < 8) return;
    double tick_ms = 1000 / (double)sysconf(_SC_CLK_TCK);
    *busy_ms = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) * tick_ms;
    *stolen_ms = (double)t[7] * tick_ms;
}

static double timeval_ms(struct timeval t) {
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

void machine_look(machine_state *state) {
    *state = (machine_state){.clock_ms = clock_ms()};
    double busy_ms = 0;
    state->n_throttled = count_throttled();
    state->swapped_bytes = 1024 * number_behind("/proc/self/status", "VmSwap:");
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    state->n_major_faults = (uint64_t)usage.ru_majflt;
    look_at_processors(&busy_ms, &state->stolen_ms);
    state->others_cpu_ms = busy_ms - timeval_ms(usage.ru_utime) - timeval_ms(usage.ru_stime);
}

double machine_clock_rate(void) {
    enum { ROUNDS = 8, STEPS = 1 << 20 };
    static volatile uint64_t sink;
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = clock_ms();
        uint64_t x = sink + 1;
        for (int j = 0; j < STEPS; j++) x = x * 0x5851F42D4C957F2Du + 1; /* each needs the last */
        sink = x;
        double rate = 1000 * (double)STEPS / (clock_ms() - start);
        if (rate > best) best = rate;
    }
    return best;
}

/* --- memory --- */

static void look_at_group(machine_memory *m) {
    char group[512];
    if (find_group("memory", group, sizeof group)) {
        m->group = group_number("/sys/fs/cgroup/memory", group, "memory.usage_in_bytes", "");
        m->group_peak = group_number("/sys/fs/cgroup/memory", group, "memory.max_usage_in_bytes",
                                     "");
    } else if (find_group("", group, sizeof group)) {
        m->group = group_number("/sys/fs/cgroup", group, "memory.current", "");
        m->group_peak = group_number("/sys/fs/cgroup", group, "memory.peak", "");
    }
}

void machine_look_at_memory(machine_memory *m) {
    static const char status[] = "/proc/self/status";
    *m = (machine_memory){.resident = 1024 * number_behind(status, "VmRSS:"),
                          .resident_file = 1024 * (number_behind(status, "RssFile:") +
                                                   number_behind(status, "RssShmem:")),
                          .resident_own = 1024 * number_behind(status, "RssAnon:"),
                          .mapped = 1024 * number_behind(status, "VmSize:")};
    look_at_group(m);
}
