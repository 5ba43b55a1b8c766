#include "base/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The number a file begins with; `otherwise` when there is none ("max", or no such file). */
static uint64_t number_in_file(const char *path, uint64_t otherwise) {
    FILE *file = fopen(path, "r");
    if (!file) return otherwise;
    unsigned long long value;
    int n = fscanf(file, "%llu", &value);
    fclose(file);
    return n == 1 ? value : otherwise;
}

uint64_t system_memory_bytes(void) {
    uint64_t least = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limits[] = {
        number_in_file("/sys/fs/cgroup/memory.max", UINT64_MAX),
        number_in_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", UINT64_MAX),
        UINT64_MAX,
    };
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        limits[2] = space.rlim_cur;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i] < least) least = limits[i];
    return least;
}

/* A line "Key:  123 kB" or "key 123" of a file, as it stands; 0 where there is none. */
static uint64_t number_behind(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    char line[256];
    unsigned long long number = 0;
    size_t n = strlen(key);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && (line[n] == ':' || line[n] == ' ')) {
            number = strtoull(line + n + 1, NULL, 10);
            break;
        }
    fclose(file);
    return number;
}

/* What a cgroup's limit leaves: files that are only cached there can go. UINT64_MAX: no limit. */
static uint64_t left_in_group(const char *limit, const char *used, const char *stat,
                              const char *cached) {
    uint64_t most = number_in_file(limit, UINT64_MAX), now = number_in_file(used, 0);
    if (most == UINT64_MAX) return UINT64_MAX;
    uint64_t droppable = number_behind(stat, cached);
    now = now > droppable ? now - droppable : 0;
    return most > now ? most - now : 0;
}

uint64_t system_free_memory_bytes(void) {
    uint64_t least = system_memory_bytes();
    uint64_t available = number_behind("/proc/meminfo", "MemAvailable") * 1024;
    uint64_t left[] = {
        available ? available : UINT64_MAX,
        left_in_group("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                      "/sys/fs/cgroup/memory.stat", "inactive_file"),
        left_in_group("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                      "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                      "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
    };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (left[i] < least) least = left[i];
    return least;
}

uint64_t system_resident_bytes(void) { return number_behind("/proc/self/status", "VmRSS") * 1024; }

uint64_t system_peak_resident_bytes(void) { return number_behind("/proc/self/status", "VmHWM") * 1024; }

bool system_forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w"); /* proc(5): 5 resets VmHWM */
    if (!file) return false;
    bool written = fputs("5", file) >= 0;
    return fclose(file) == 0 && written;
}

uint64_t system_cache_bytes(void) {
    uint64_t largest = 0;
    for (int i = 0; i < 8; i++) {
        char path[80];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        uint64_t kilobytes = number_in_file(path, 0); /* "32768K" */
        if (kilobytes * 1024 > largest) largest = kilobytes * 1024;
    }
    return largest;
}

uint64_t system_random(void) {
    uint64_t bits;
    if (getentropy(&bits, sizeof bits) != 0) /* no entropy device: time is all there is */
        bits = (uint64_t)time(NULL) * 0x9E3779B97F4A7C15u ^ (uint64_t)getpid();
    return bits;
}
