/* Who listens at a port: /proc/net/tcp names the socket, /proc/PID/fd its owner. */
#include "lab/server_machine.h"

#include <ctype.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/http.h"
#include "base/mem.h"

enum { MAX_SOCKETS = 8, MAX_PROCESSES = 1 << 16, REST_US = 330000 };

#define PROXY_SHARE 0.2 /* who passes bytes on uses less beside whom he passes them to */

/* --- who it is --- */

static unsigned port_of(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    const char *colon = memrchr(host, ':', n), *bracket = memchr(host, ']', n);
    if (colon && (!bracket || colon > bracket)) return (unsigned)strtoul(colon + 1, NULL, 10);
    return strncmp(url, "https:", 6) == 0 ? 443 : 80;
}

/* Sockets that listen at the port, by their numbers. */
static size_t find_sockets(const char *table, unsigned port, unsigned long *inodes, size_t n) {
    char line[512];
    FILE *in = fopen(table, "r");
    while (in && n < MAX_SOCKETS && fgets(line, sizeof line, in)) {
        unsigned at, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu", &at,
                   &state, &inode) == 3 && at == port && state == 0x0A)
            inodes[n++] = inode;
    }
    if (in) fclose(in);
    return n;
}

static bool holds_one(const char *process, const unsigned long *inodes, size_t n) {
    char path[300], link[64];
    snprintf(path, sizeof path, "/proc/%.16s/fd", process);
    DIR *folder = opendir(path);
    struct dirent *entry;
    bool found = false;
    while (folder && !found && (entry = readdir(folder))) {
        unsigned long inode;
        snprintf(path, sizeof path, "/proc/%.16s/fd/%.200s", process, entry->d_name);
        ssize_t length = readlink(path, link, sizeof link - 1);
        if (length <= 0) continue;
        link[length] = '\0';
        if (sscanf(link, "socket:[%lu]", &inode) != 1) continue;
        for (size_t i = 0; i < n; i++) found |= inode == inodes[i];
    }
    if (folder) closedir(folder);
    return found;
}

/* The one that was there first: others have inherited the socket. */
static int find_process(unsigned port) {
    unsigned long inodes[MAX_SOCKETS];
    size_t n = find_sockets("/proc/net/tcp", port, inodes, 0);
    n = find_sockets("/proc/net/tcp6", port, inodes, n);
    DIR *folder = n ? opendir("/proc") : NULL;
    struct dirent *entry;
    int process = 0;
    while (folder && (entry = readdir(folder))) {
        int id = isdigit((unsigned char)*entry->d_name) ? atoi(entry->d_name) : 0;
        if (id > 0 && (process == 0 || id < process) && holds_one(entry->d_name, inodes, n))
            process = id;
    }
    if (folder) closedir(folder);
    return process;
}

void server_machine_find(server_machine *s, const char *url) {
    *s = (server_machine){.is_here = http_is_loopback(url)};
    if (s->is_here) s->process = find_process(port_of(url));
}

/* --- what it uses --- */

typedef struct process {
    int id, parent;
    bool is_server;
    double cpu_ms; /* its own and that of children that have ended */
    uint64_t n_major_faults;
} process;

/* /proc/PID/stat: the name may hold anything, so that the fields count from the last ')'. */
static bool read_process(process *p, const char *id, double tick_ms) {
    char path[64], text[1024];
    unsigned long faults, child_faults, user, system;
    long child_user, child_system;
    snprintf(path, sizeof path, "/proc/%.16s/stat", id);
    FILE *in = fopen(path, "r");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in) fclose(in);
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    *p = (process){.id = atoi(id)};
    if (!rest || sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %lu %lu %lu %lu %ld %ld",
                        &p->parent, &faults, &child_faults, &user, &system, &child_user,
                        &child_system) != 7)
        return false;
    p->cpu_ms = ((double)user + (double)system + (double)child_user + (double)child_system) *
                tick_ms;
    p->n_major_faults = faults + child_faults;
    return true;
}

static size_t read_processes(process *all) {
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    double tick_ms = 1000 / (double)sysconf(_SC_CLK_TCK);
    size_t n = 0;
    while (folder && n < MAX_PROCESSES && (entry = readdir(folder)))
        if (isdigit((unsigned char)*entry->d_name) && read_process(&all[n], entry->d_name, tick_ms))
            n++;
    if (folder) closedir(folder);
    return n;
}

/* The server and all that it has started, however deep. */
static void mark_server(process *all, size_t n, int server) {
    bool more = true;
    for (size_t i = 0; i < n; i++) all[i].is_server = all[i].id == server;
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n && !all[i].is_server; j++)
                if (all[j].is_server && all[j].id == all[i].parent) all[i].is_server = more = true;
    }
}

static uint64_t swapped_bytes_of(int id) {
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", id);
    FILE *in = fopen(path, "r");
    while (in && fgets(line, sizeof line, in))
        if (sscanf(line, "VmSwap: %llu", &kib) == 1) break;
    if (in) fclose(in);
    return kib * 1024;
}

void server_machine_look(const server_machine *s, server_look *look) {
    process *all = s->process ? mem_calloc(MAX_PROCESSES, sizeof *all) : NULL;
    *look = (server_look){.server_cpu_ms = 0};
    machine_look(&look->state);
    look->state.swapped_bytes = look->state.n_major_faults = 0;
    if (!all) return;
    size_t n = read_processes(all);
    mark_server(all, n, s->process);
    for (size_t i = 0; i < n; i++) {
        if (!all[i].is_server) continue;
        look->server_cpu_ms += all[i].cpu_ms;
        look->state.n_major_faults += all[i].n_major_faults;
        look->state.swapped_bytes += swapped_bytes_of(all[i].id);
    }
    look->state.others_cpu_ms -= look->server_cpu_ms;
    mem_free(all);
}

/* --- judging --- */

static int n_processors(void) { return cpu_choose_threads().n_online; }

void server_machine_judge_run(validity *v, const server_machine *s, const server_look *before,
                              const server_look *after) {
    machine_state from = before->state, to = after->state;
    double others = to.others_cpu_ms - from.others_cpu_ms;
    if (!s->is_here) return;
    bool computes = after->server_cpu_ms - before->server_cpu_ms > PROXY_SHARE * others;
    if (!computes) to.others_cpu_ms = from.others_cpu_ms;
    validity_judge_machine(v, &from, &to, 1, n_processors());
}

void server_machine_judge_rest(validity *v, const server_machine *s) {
    server_look before, after;
    if (!s->is_here || validity_has(v, VALIDITY_DISTURBED)) return;
    server_machine_look(s, &before);
    usleep(REST_US);
    server_machine_look(s, &after);
    validity_judge_machine(v, &before.state, &after.state, 1, n_processors());
}
