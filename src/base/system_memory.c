/* What memory there is: the system's, the control groups' and the process's own word (system.h). */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/system.h"

/* The files of a group's folder, in the words of each version. */
typedef struct group_kind {
    const char *mount;     /* below the root */
    const char *limits[2]; /* "max" or a huge number: no limit */
    const char *used, *stat, *droppable;
    const char *pressure; /* NULL: this version has none */
} group_kind;

static const group_kind unified = {
    "/sys/fs/cgroup", {"memory.max", "memory.high"}, "memory.current", "memory.stat",
    "inactive_file", "memory.pressure"};
static const group_kind legacy = {
    "/sys/fs/cgroup/memory", {"memory.limit_in_bytes", NULL}, "memory.usage_in_bytes",
    "memory.stat", "total_inactive_file", NULL};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t rest(uint64_t most, uint64_t used) { return most > used ? most - used : 0; }

static uint64_t number_in(const char *folder, const char *name, uint64_t otherwise) {
    fs_path path;
    if (fs_path_format(&path, "%s/%s", folder, name) != HONE_OK) return otherwise;
    return fs_read_number(path.text, otherwise);
}

/* "some avg10=1.23 …" in percent; negative where the file is missing. */
static double stalled_in(const char *path) {
    FILE *file = fopen(path, "r");
    double percent;
    if (!file) return -1;
    int n = fscanf(file, "some avg10=%lf", &percent);
    fclose(file);
    return n == 1 ? percent : -1;
}

static void look_at_group(system_memory *m, const group_kind *kind, const char *folder) {
    uint64_t limit = UINT64_MAX;
    fs_path stat;
    for (int i = 0; i < 2 && kind->limits[i]; i++)
        limit = least(limit, number_in(folder, kind->limits[i], UINT64_MAX));
    if (limit == UINT64_MAX || fs_path_format(&stat, "%s/%s", folder, kind->stat) != HONE_OK)
        return;
    uint64_t droppable = fs_read_number_behind(stat.text, kind->droppable, 0);
    m->limit = least(m->limit, limit);
    m->left = least(m->left, rest(limit, rest(number_in(folder, kind->used, 0), droppable)));
}

/* The group at `path` below its mount and all groups above it. Paths that the mount does not have,
 * as in a container that sees its own group as the mount's root, are passed over. */
static void look_at_groups(system_memory *m, const char *root, const group_kind *kind, char *path) {
    fs_path folder;
    for (bool own = true;; own = false) {
        if (fs_path_format(&folder, "%s%s%s", root, kind->mount, path) != HONE_OK) return;
        look_at_group(m, kind, folder.text);
        double stalled = -1;
        if (own && kind->pressure &&
            fs_path_format(&folder, "%s%s%s/%s", root, kind->mount, path, kind->pressure) ==
                HONE_OK)
            stalled = stalled_in(folder.text);
        if (stalled >= 0) m->stalled = stalled;
        char *slash = strrchr(path, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* Whether "memory" is among the names between two colons. */
static bool lists_memory(const char *controllers) {
    size_t n = strcspn(controllers, ":");
    const char *found = strstr(controllers, "memory");
    return found && found < controllers + n;
}

/* Lines of /proc/self/cgroup: "0::/path" of the unified hierarchy, "4:memory:/path" of an
 * old one. */
static void look_at_own_groups(system_memory *m, const char *root) {
    fs_path path;
    char line[4096];
    if (fs_path_format(&path, "%s/proc/self/cgroup", root) != HONE_OK) return;
    FILE *file = fopen(path.text, "r");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'),
             *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group || strstr(group, "..")) continue;
        group++;
        if (!strcmp(group, "/")) *group = '\0';
        if (!strncmp(line, "0::", 3)) look_at_groups(m, root, &unified, group);
        else if (lists_memory(controllers + 1)) look_at_groups(m, root, &legacy, group);
    }
    fclose(file);
}

static void look_at_address_space(system_memory *m) {
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur == RLIM_INFINITY) return;
    uint64_t used = fs_read_number_behind("/proc/self/status", "VmSize", 0) * 1024;
    m->limit = least(m->limit, space.rlim_cur);
    m->left = least(m->left, rest(space.rlim_cur, used));
}

system_memory system_look_at_memory(const char *root) {
    system_memory m = {.limit = (uint64_t)sysconf(_SC_PHYS_PAGES) *
                                (uint64_t)sysconf(_SC_PAGESIZE)};
    fs_path path;
    m.left = m.limit;
    if (fs_path_format(&path, "%s/proc/meminfo", root) == HONE_OK) {
        uint64_t kilobytes = fs_read_number_behind(path.text, "MemAvailable", UINT64_MAX / 1024);
        m.left = least(m.left, kilobytes * 1024);
    }
    if (fs_path_format(&path, "%s/proc/pressure/memory", root) == HONE_OK) {
        double stalled = stalled_in(path.text);
        m.stalled = stalled > 0 ? stalled : 0;
    }
    look_at_own_groups(&m, root);
    look_at_address_space(&m);
    return m;
}

void system_return_memory(void) { malloc_trim(0); }

uint64_t system_resident_bytes(void) {
    return fs_read_number_behind("/proc/self/status", "VmRSS", 0) * 1024;
}

uint64_t system_peak_resident_bytes(void) {
    return fs_read_number_behind("/proc/self/status", "VmHWM", 0) * 1024;
}

bool system_forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w"); /* proc(5): 5 resets VmHWM */
    if (!file) return false;
    bool written = fputs("5", file) >= 0;
    return fclose(file) == 0 && written;
}
