/* What Linux tells about itself in /proc and /sys. */
#include "lab/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

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

/* Time that all processors spent working since the start of the machine (user, nice, system, irq and
 * softirq of /proc/stat), and that they were kept waiting by the host (steal). */
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
    double load, busy_ms = 0;
    if (getloadavg(&load, 1) == 1) state->load = load;
    state->n_throttled = number_behind("/sys/fs/cgroup/cpu.stat", "nr_throttled ");
    state->swapped_bytes = 1024 * number_behind("/proc/self/status", "VmSwap:");
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    state->n_major_faults = (uint64_t)usage.ru_majflt;
    look_at_processors(&busy_ms, &state->stolen_ms);
    state->others_cpu_ms = busy_ms - timeval_ms(usage.ru_utime) - timeval_ms(usage.ru_stime);
}
