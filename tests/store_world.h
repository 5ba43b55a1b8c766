/* A world of its own for the tests of store and pull: an empty HONE_HOME in a temporary folder, and
 * tests/tools/fault_server.py. */
#ifndef TESTS_STORE_WORLD_H
#define TESTS_STORE_WORLD_H

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "test.h"

static char world_home[256], world_cache[300];
static int world_port, world_other_port, world_tls_port, world_stdin = -1;
static pid_t world_server;

/* A new, empty home in place of the last one. */
static inline void world_new_home(void) {
    const char *tmp = getenv("TMPDIR");
    if (world_home[0]) fs_remove_tree(world_home);
    snprintf(world_home, sizeof world_home, "%s/hone-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(world_home)) {
        perror(world_home);
        exit(1);
    }
    setenv("HONE_HOME", world_home, 1);
    /* Not what this machine's own caches hold. */
    snprintf(world_cache, sizeof world_cache, "%s/caches", world_home);
    setenv("HF_HUB_CACHE", world_cache, 1);
    setenv("OLLAMA_MODELS", world_cache, 1);
}

static inline const char *world_path(const char *below) {
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", world_home, below);
    return path;
}

static inline bool world_exists(const char *below) { return access(world_path(below), F_OK) == 0; }

/* Bytes of a file; -1 when it is missing. */
static inline long world_size(const char *below) {
    struct stat st;
    return stat(world_path(below), &st) == 0 ? (long)st.st_size : -1;
}

static inline void world_write(const char *below, const char *text) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s", world_path(below));
    *strrchr(folder, '/') = 0;
    if (fs_make_folders(folder) != HONE_OK) exit(1);
    FILE *f = fopen(world_path(below), "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(below);
        exit(1);
    }
}

/* False, with the reason printed, when it does not start. The log lies beside the homes. */
static inline bool world_start_server(const char *log, const char *certificate) {
    extern char **environ;
    setenv("no_proxy", "127.0.0.1,localhost,0.0.0.0", 1);
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0) return false;
    fcntl(in[1], F_SETFD, FD_CLOEXEC);
    char *const argv[] = {"python3", "tests/tools/fault_server.py", "--log", (char *)log,
                          certificate ? "--certificate" : NULL, (char *)certificate, NULL};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    int error = posix_spawnp(&world_server, "python3", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(in[0]);
    close(out[1]);
    world_stdin = in[1];
    char line[64] = "";
    FILE *answer = fdopen(out[0], "r");
    bool answered = !error && answer && fgets(line, sizeof line, answer) &&
                    sscanf(line, "%d %d %d", &world_port, &world_other_port,
                           &world_tls_port) == 3;
    if (!answered) printf("fault_server.py: %s, said \"%s\"\n", strerror(error), line);
    if (answer) fclose(answer);
    return answered;
}

static inline void world_end(void) {
    if (world_server > 0) {
        close(world_stdin);
        kill(world_server, SIGTERM);
        waitpid(world_server, NULL, 0);
    }
    fs_remove_tree(world_home);
}

#endif
