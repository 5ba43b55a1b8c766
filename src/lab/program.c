#include "lab/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fs.h"
#include "base/utf8.h"

enum { COMPILE_S = 60, MAX_WORDS = 14 };

/* In argument lists "@" stands for the tool's path and "%" for its folder. */
typedef struct language {
    const char *name, *aliases, *file, *tool; /* aliases: parted and surrounded by spaces */
    const char *compile[MAX_WORDS]; /* none: it is run as it stands */
    const char *run[MAX_WORDS];
} language;

static const language languages[] = {
    {"python", " py python3 ", "main.py", "python3", {NULL}, {"@", SANDBOX_PROGRAM "/main.py"}},
    {"javascript", " js node mjs ", "main.js", "node", {NULL}, {"@", SANDBOX_PROGRAM "/main.js"}},
    {"c", " ", "main.c", "gcc",
     {"@", "-std=c11", "-O1", "-w", "-o", SANDBOX_PROGRAM "/main", SANDBOX_PROGRAM "/main.c",
      "-lm"},
     {SANDBOX_PROGRAM "/main"}},
    {"cpp", " c++ cxx cc ", "main.cpp", "g++",
     {"@", "-std=c++17", "-O1", "-w", "-o", SANDBOX_PROGRAM "/main", SANDBOX_PROGRAM "/main.cpp"},
     {SANDBOX_PROGRAM "/main"}},
    {"rust", " rs ", "main.rs", "rustc",
     {"@", "--sysroot", "%", "--edition", "2021", "-A", "warnings", "-C", "link-arg=-fuse-ld=bfd",
      "-o", SANDBOX_PROGRAM "/main", SANDBOX_PROGRAM "/main.rs"}, /* its own linker needs /proc */
     {SANDBOX_PROGRAM "/main"}},
};
enum { N_LANGUAGES = sizeof languages / sizeof *languages };

/* Where a language's interpreter or compiler is. */
typedef struct tool {
    char path[PATH_MAX], folder[PATH_MAX]; /* folder: bin/ lies in it */
    bool of_system;                        /* the sandbox has it anyway */
} tool;

/* --- names --- */

static bool is_alias(const language *l, const char *name) {
    size_t n = strlen(name);
    for (const char *at = l->aliases; n && (at = strchr(at, ' ')) && *++at;)
        if (!strncasecmp(at, name, n) && at[n] == ' ') return true;
    return false;
}

const char *program_language(const char *name) {
    for (int i = 0; i < N_LANGUAGES; i++)
        if (!strcasecmp(languages[i].name, name) || is_alias(&languages[i], name))
            return languages[i].name;
    return NULL;
}

/* --- finding tools --- */

static bool is_executable(const char *folder, size_t n, const char *name, char *path) {
    struct stat st;
    int length = snprintf(path, PATH_MAX, "%.*s/%s", (int)n, folder, name);
    return length < PATH_MAX && access(path, X_OK) == 0 && stat(path, &st) == 0 &&
           S_ISREG(st.st_mode);
}

/* The folders of the system first: what stands before them in PATH is often a wrapper that needs
 * files of the user's. */
static bool find_in_path(const char *name, char *path) {
    const char *folders = getenv("PATH");
    if (is_executable("/usr/bin", 8, name, path) || is_executable("/usr/local/bin", 14, name, path))
        return true;
    while (folders && *folders) {
        size_t n = strcspn(folders, ":");
        if (n > 0 && is_executable(folders, n, name, path)) return true;
        folders += n + (folders[n] == ':');
    }
    return false;
}

static bool keep_first_line(void *context, const char *line) {
    char *text = context;
    if (line && !*text) snprintf(text, PATH_MAX, "%s", line);
    return true;
}

/* rustup's `rustc` only looks for the compiler, in the user's home. */
static bool find_rust(tool *t) {
    const char *const argv[] = {t->path, "--print", "sysroot", NULL};
    t->folder[0] = '\0';
    child asks = {.argv = argv, .observe = keep_first_line, .context = t->folder};
    return child_run(&asks) == HONE_OK && t->folder[0] == '/' &&
           is_executable(t->folder, strlen(t->folder), "bin/rustc", t->path);
}

static bool find_tool(const language *l, tool *t) {
    char found[PATH_MAX];
    if (!find_in_path(l->tool, t->path)) return false;
    if (strcmp(l->name, "rust") == 0 && !find_rust(t)) return false;
    if (!realpath(t->path, found)) return false;
    t->of_system = strncmp(found, "/usr/", 5) == 0;
    if (t->of_system) {
        snprintf(t->folder, sizeof t->folder, "/usr");
        return true;
    }
    memcpy(t->path, found, sizeof found);
    memcpy(t->folder, found, sizeof found);
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(t->folder, '/');
        if (!slash || slash == t->folder) return false;
        *slash = '\0';
    }
    return true;
}

static hone_status find_language(const char *name, const language **l, tool *t) {
    for (int i = 0; i < N_LANGUAGES; i++) {
        if (strcmp(languages[i].name, name) != 0) continue;
        *l = &languages[i];
        return find_tool(*l, t) ? HONE_OK
                                : fail(HONE_ERR_UNSUPPORTED, "programs in %s need %s, which is not "
                                                             "installed", name, (*l)->tool);
    }
    return fail(HONE_ERR_ARGUMENT, "programs in %s are not run here", name);
}

hone_status program_check(const char *name) {
    const language *l;
    tool t;
    TRY(find_language(name, &l, &t));
    return sandbox_check();
}

/* --- running --- */

static void make_arguments(const char **out, const char *const *words, const tool *t) {
    size_t n = 0;
    for (; words[n]; n++)
        out[n] = !strcmp(words[n], "@") ? t->path : !strcmp(words[n], "%") ? t->folder : words[n];
    out[n] = NULL;
}

/* A program may write any bytes, and its output may be cut within a character. */
static void keep_text(char *to, const char *from) {
    for (size_t at = 0, n = strlen(from); at < n;) {
        uint32_t code;
        size_t length = utf8_decode(from + at, n - at, &code);
        if (code == UTF8_INVALID) *to++ = '?';
        else memcpy(to, from + at, length), to += length;
        at += length;
    }
    *to = '\0';
}

static hone_status run_step(program_result *out, const char *const *words, const tool *t,
                            const char *folder, bool compiles) {
    const char *argv[MAX_WORDS + 1];
    char words_of_end[48];
    sandbox_job job = {.argv = argv, .folder = folder, .may_write = compiles,
                       .tools = t->of_system ? NULL : t->folder, .limits = sandbox_usual_limits};
    make_arguments(argv, words, t);
    if (compiles) job.limits.wall_s = COMPILE_S;
    if (compiles) job.limits.memory_bytes *= 2;
    TRY(sandbox_run(&job));
    out->passed = job.end == SANDBOX_EXITED && job.code == 0;
    snprintf(out->words, sizeof out->words, "%s%s", compiles ? "did not compile: " : "",
             sandbox_end_words(&job, words_of_end, sizeof words_of_end));
    keep_text(out->output, job.output);
    return HONE_OK;
}

/* `folder` is where the program lies; whoever runs it there may read it,
 * or write while compiling. */
static hone_status run_in(program_result *out, const language *l, const tool *t, const char *folder,
                          const char *source) {
    fs_path file;
    TRY(fs_path_format(&file, "%s/%s", folder, l->file));
    TRY(fs_write_file(file.text, source, strlen(source)));
    chmod(file.text, 0644);
    if (l->compile[0]) {
        chmod(folder, 0777);
        TRY(run_step(out, l->compile, t, folder, true));
        if (!out->passed) return HONE_OK;
    }
    chmod(folder, 0755);
    return run_step(out, l->run, t, folder, false);
}

hone_status program_run(program_result *out, const char *name, const char *source) {
    const language *l;
    tool t;
    fs_path outer, folder; /* the outer one keeps all others out */
    const char *temporary = getenv("TMPDIR");
    TRY(find_language(name, &l, &t));
    TRY(sandbox_check());
    TRY(fs_path_format(&outer, "%s/hone-program-XXXXXX",
                       temporary && *temporary ? temporary : "/tmp"));
    if (!mkdtemp(outer.text)) return fail(HONE_ERR_IO, "%s: no folder can be made", outer.text);
    hone_status status = fs_path_format(&folder, "%s/program", outer.text);
    if (status == HONE_OK) status = fs_make_folders(folder.text);
    if (status == HONE_OK) status = run_in(out, l, &t, folder.text, source);
    fs_remove_tree(outer.text);
    return status;
}
