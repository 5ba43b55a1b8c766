#include "lab/load_time.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/system.h"
#include "lab/model_files.h"

#define KEPT_TOLERATED 0.02 /* a page or two of a header does not make a file warm */

static hone_status load_once(const char *path, const hone_model_options *model_options,
                             const hone_session_options *session_options, double *ms) {
    hone_model *model = NULL;
    hone_session *session = NULL;
    int32_t token = 0;
    double start_ms = clock_ms();
    hone_status status = hone_model_open(&model, path, model_options);
    if (status == HONE_OK) status = hone_session_open(&session, model, session_options);
    if (status == HONE_OK) status = hone_prefill(session, &token, 1, NULL, NULL, NULL);
    *ms = clock_ms() - start_ms;
    hone_session_close(session);
    hone_model_close(model);
    return status;
}

/* --- dropping --- */

typedef struct pages {
    size_t n, n_resident;
} pages;

static hone_status drop_file(void *context, const char *path, const char *name) {
    (void)context, (void)name;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return HONE_OK; /* counted as kept */
    fdatasync(fd); /* pages that were not written yet would stay */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return HONE_OK;
}

static hone_status count_pages(void *context, const char *path, const char *name) {
    pages *p = context;
    file_map map;
    (void)name;
    TRY(file_map_open(&map, path));
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (map.size + page - 1) / page;
    unsigned char *resident = n ? mem_alloc(n) : NULL;
    if (resident && mincore((void *)map.data, map.size, resident) == 0) {
        for (size_t i = 0; i < n; i++) p->n_resident += resident[i] & 1;
    }
    p->n += n;
    mem_free(resident);
    file_map_release(&map);
    return n && !resident ? mem_fail("a list of pages", n) : HONE_OK;
}

/* *kept: the share of the model that is still in memory. */
static hone_status drop(const char *path, double *kept) {
    pages p = {0, 0};
    TRY(model_files_each(path, drop_file, NULL));
    TRY(model_files_each(path, count_pages, &p));
    *kept = p.n ? (double)p.n_resident / (double)p.n : 1;
    return HONE_OK;
}

/* --- runs --- */

static hone_status add_bytes(void *context, const char *path, const char *name) {
    struct stat s;
    (void)name;
    if (stat(path, &s) == 0) *(uint64_t *)context += (uint64_t)s.st_size;
    return HONE_OK;
}

hone_status load_time_measure(load_time *out, const char *path, const hone_model_options *model,
                              const hone_session_options *session,
                              bool (*observe)(void *context, const char *what, size_t run,
                                              size_t n),
                              void *context) {
    double cold[LOAD_TIME_RUNS], warm[LOAD_TIME_RUNS];
    uint64_t bytes = 0;
    load_time t = {.kept = 0};
    TRY(model_files_each(path, add_bytes, &bytes));
    size_t n_cold = bytes > LOAD_TIME_LARGE ? 1 : LOAD_TIME_RUNS;
    for (size_t i = 0; i < n_cold && t.kept <= KEPT_TOLERATED; i++) {
        if (observe && !observe(context, "cold load", i + 1, n_cold)) return HONE_ERR_CANCELLED;
        TRY(drop(path, &t.kept));
        if (t.kept > KEPT_TOLERATED) break;
        TRY(load_once(path, model, session, &cold[i]));
    }
    if (t.kept <= KEPT_TOLERATED) t.cold = spread_of(cold, n_cold);
    else TRY(load_once(path, model, session, &warm[0])); /* so that what was dropped is back */
    for (size_t i = 0; i < LOAD_TIME_RUNS; i++) {
        if (observe && !observe(context, "warm load", i + 1, LOAD_TIME_RUNS))
            return HONE_ERR_CANCELLED;
        TRY(load_once(path, model, session, &warm[i]));
    }
    t.warm = spread_of(warm, LOAD_TIME_RUNS);
    *out = t;
    return HONE_OK;
}
