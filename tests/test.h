/* The smallest frame for tests: one function a promise, one line a check.
 *
 *     static void same_seed_gives_the_same_draws(void) { CHECK(a == b); CHECK_NEAR(x, y, 1e-6); }
 *     int main(void) { RUN(same_seed_gives_the_same_draws); return test_summary(); }
 *
 * A failed CHECK prints file, line and expression, counts once for its test and goes on. The last
 * line of output is `N passed, N failed[, N skipped]`; the exit code is 1 if anything failed. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

/* Programs of several files define TEST_SHARED_STATE in all of them but one. */
#ifdef TEST_SHARED_STATE
extern int test_passed, test_failed, test_skipped, test_bad_checks, test_skip_now;
#else
int test_passed, test_failed, test_skipped, test_bad_checks, test_skip_now;
#endif

#define CHECK(condition) CHECK_MSG(condition, "%s", "")

/* CHECK with words: CHECK_MSG(a == b, "row %d: %d, expected %d", i, a, b) */
#define CHECK_MSG(condition, ...)                                      \
    do {                                                               \
        if (!(condition)) {                                            \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);     \
            printf(__VA_ARGS__);                                       \
            printf("\n");                                              \
            test_bad_checks++;                                         \
        }                                                              \
    } while (0)

#define CHECK_OK(call) test_check_ok((call), __FILE__, __LINE__, #call)
#define CHECK_NEAR(a, b, bound)                                                                  \
    CHECK_MSG(fabs((double)(a) - (double)(b)) <= (bound), "%.9g and %.9g differ by more than %g", \
              (double)(a), (double)(b), (double)(bound))

/* Ends the running test as skipped; the reason is printed. Use it only for what cannot run here. */
#define SKIP(...)                                    \
    do {                                             \
        printf("skipped %s: ", __func__);            \
        printf(__VA_ARGS__);                         \
        printf("\n");                                \
        test_skip_now = 1;                           \
        return;                                      \
    } while (0)

static inline int test_check_ok(hone_status status, const char *file, int line, const char *call) {
    if (status == HONE_OK) return 1;
    printf("%s:%d: %s: %s: %s\n", file, line, call, hone_status_name(status), hone_error_message());
    test_bad_checks++;
    return 0;
}

#define RUN(test) RUN_NAMED(#test, test())

/* Runs the statement as one test. */
#define RUN_NAMED(name, statement)                      \
    do {                                                \
        test_bad_checks = test_skip_now = 0;            \
        statement;                                      \
        if (test_bad_checks) {                          \
            printf("FAILED %s\n", name);                \
            test_failed++;                              \
        } else if (test_skip_now) {                     \
            test_skipped++;                             \
        } else {                                        \
            test_passed++;                              \
        }                                               \
        fflush(stdout);                                 \
    } while (0)

static inline int test_summary(void) {
    printf("%d passed, %d failed", test_passed, test_failed);
    if (test_skipped) printf(", %d skipped", test_skipped);
    printf("\n");
    return test_failed ? 1 : 0;
}

/* The reference data beside the checkout ($HONE_SHARED or ../shared), or NULL where it is
 * missing. */
static inline const char *test_shared(void) {
    const char *folder = getenv("HONE_SHARED");
    if (!folder) folder = "../shared";
    FILE *probe = fopen(folder, "r");
    if (!probe) return NULL;
    fclose(probe);
    return folder;
}

#endif
