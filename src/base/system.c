#include "base/system.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"

double clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

uint64_t system_cache_bytes(void) {
    uint64_t largest = 0;
    for (int i = 0; i < 8; i++) {
        char path[80];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        uint64_t kilobytes = fs_read_number(path, 0); /* "32768K" */
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
