#include "cli/report_repeat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/results_diff.h"
#include "lab/report.h"

/* Between fork and exec; ends in the new program or with 127. What it prints is not wanted: its
 * result is in the database. */
static void become(const stored_result *r) {
    static const char *const names[] = {"HONE_CPU", "HONE_THREADS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = json_string_value(json_object_get(r->environment, names[i]));
        if (value) setenv(names[i], value, 1);
        else unsetenv(names[i]);
    }
    int nothing = open("/dev/null", O_WRONLY);
    if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0 || chdir(r->folder) != 0) _exit(127);
    execv("/proc/self/exe", (char *const *)r->argv);
    _exit(127);
}

/* The command's exit code; *pid is its process. */
static int run_again(const stored_result *r, pid_t *pid) {
    int state = 0;
    interrupt_hold(); /* Ctrl-C reaches both: the command ends, and we with it */
    *pid = fork();
    if (*pid == 0) become(r);
    while (*pid > 0 && waitpid(*pid, &state, 0) < 0 && errno == EINTR) continue;
    interrupt_disarm();
    if (*pid < 0) {
        cli_error("cannot start the command: %s", strerror(errno));
        return CLI_FAILED;
    }
    if (interrupt_seen()) return CLI_INTERRUPTED;
    if (WIFEXITED(state) && WEXITSTATUS(state) == CLI_OK) return CLI_OK;
    cli_error("the command did not end well (in %s)", r->folder);
    return WIFEXITED(state) && WEXITSTATUS(state) != 127 ? WEXITSTATUS(state) : CLI_FAILED;
}

/* The result that the process has left. */
static hone_status find_new(results *r, const stored_result *old, pid_t pid, stored_result *out) {
    results_list list;
    int64_t id = 0;
    const results_filter filter = {.kind = result_kind_name(old->kind), .wanted = RESULTS_ALL,
                                   .n_most = 100};
    hone_status status = results_find(r, &filter, &list);
    if (status != HONE_OK) return status;
    for (size_t i = 0; i < list.n; i++) {
        if (list.results[i].process == pid && list.results[i].id > old->id) id = list.results[i].id;
    }
    results_list_release(&list);
    if (!id) return fail(HONE_ERR_NOT_FOUND, "the command has left no result");
    hone_status noted = results_set_repeats(r, id, old->id);
    return noted == HONE_OK ? results_get(r, id, out) : noted;
}

/* Files that are no longer what they were. */
static void judge_files(result_diff *d, const stored_result *a, const stored_result *b) {
    for (size_t i = 0; i < a->n_subjects && i < b->n_subjects; i++) {
        const result_subject *x = &a->subjects[i], *y = &b->subjects[i];
        if (*x->hash && *y->hash && strcmp(x->hash, y->hash) != 0) {
            validity_doubt(&d->doubts, VALIDITY_NOT_COMPARABLE,
                           "%.60s is another file: %.12s… then, %.12s… now", x->name, x->hash,
                           y->hash);
        }
    }
    if (strcmp(a->build, b->build) != 0) {
        fprintf(stderr, "another build of hone: %s then, %s now\n", a->build, b->build);
    }
}

static int tell(const result_diff *d, const stored_result *a, const stored_result *b, bool json) {
    bool comparable = !validity_has(&d->doubts, VALIDITY_NOT_COMPARABLE);
    bool holds = result_diff_holds(d);
    int code;
    if (json) {
        json_t *root = results_diff_to_json(d, a, b);
        if (root) json_object_set_new(root, "holds", json_boolean(holds));
        code = cli_print_json(root, false);
    } else {
        code = results_print_diff_tables(d, a, b);
        bool doubted = d->doubts.n > 0;
        printf("\n%s\n", holds && !doubted ? "It holds: no number differs by more than chance."
                         : holds           ? "No number differs by more than chance, as far as "
                                             "these runs can be relied on."
                         : comparable      ? "It does not hold: see the numbers that differ."
                                           : "It cannot be said whether it holds.");
    }
    return code != CLI_OK ? code : holds ? CLI_OK : CLI_NOT_MET;
}

int report_repeat(results *r, int64_t id, bool json) {
    stored_result old = {.id = 0}, new = {.id = 0};
    result_diff d = {.n_rows = 0};
    pid_t pid = 0;
    hone_status status = results_get(r, id, &old);
    if (status == HONE_OK && (!old.argv || !old.argv[0])) {
        status = fail(HONE_ERR_UNSUPPORTED, "result %lld does not say by which command",
                      (long long)id);
    }
    int code = status == HONE_OK ? run_again(&old, &pid) : cli_fail(status);
    if (code == CLI_OK) {
        status = find_new(r, &old, pid, &new);
        if (status == HONE_OK) status = result_diff_make(&d, r, &old, &new);
        if (status == HONE_OK) judge_files(&d, &old, &new);
        code = status == HONE_OK ? tell(&d, &old, &new, json) : cli_fail(status);
    }
    result_diff_release(&d);
    result_release(&old);
    result_release(&new);
    return code;
}
