#include "route/files.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"

enum { MAX_LISTING_BYTES = 64 << 20 };

/* Which file it was that was read. */
typedef struct file_stamp {
    bool there;
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified;
} file_stamp;

/* The first member, so that who has the rules has this. */
typedef struct kept_rules {
    route_rules rules;
    file_stamp stamp;
    size_t n_users; /* the files themselves are one of them */
} kept_rules;

struct route_files {
    pthread_mutex_t lock;
    kept_rules *rules; /* the newest; NULL: not read */
    results *db;       /* NULL: not open */
    int64_t version;   /* of the database that `rows` come from */
    buf candidates;    /* whom they are about: names and hashes */
    struct {
        measured m;
        bool there;
    } rows[N_KINDS];
};

hone_status route_files_open(route_files **out) {
    route_files *f = mem_calloc(1, sizeof *f);
    if (!f) return mem_fail("the files of choices", sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    buf_init(&f->candidates, MAX_LISTING_BYTES);
    *out = f;
    return HONE_OK;
}

/* --- rules --- */

static file_stamp stamp_of(const char *path) {
    struct stat s;
    if (stat(path, &s) != 0) return (file_stamp){.there = false};
    return (file_stamp){true, s.st_dev, s.st_ino, s.st_size, s.st_mtim};
}

static bool same_stamp(const file_stamp *a, const file_stamp *b) {
    if (!a->there || !b->there) return a->there == b->there;
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

static void leave_rules(kept_rules *k) {
    if (!k || --k->n_users > 0) return;
    route_rules_release(&k->rules);
    mem_free(k);
}

/* The stamp is older than the text, so that a change meanwhile is seen the next time. */
static hone_status read_rules(route_files *f, const file_stamp *stamp) {
    kept_rules *k = mem_calloc(1, sizeof *k);
    if (!k) return mem_fail("rules", sizeof *k);
    hone_status status = route_rules_read_usual(&k->rules);
    if (status != HONE_OK) {
        mem_free(k);
        return status;
    }
    k->stamp = *stamp;
    k->n_users = 1;
    leave_rules(f->rules);
    f->rules = k;
    return HONE_OK;
}

hone_status route_files_rules(route_files *f, const route_rules **rules) {
    fs_path path;
    TRY(route_rules_usual_path(&path));
    pthread_mutex_lock(&f->lock);
    file_stamp now = stamp_of(path.text);
    bool current = f->rules && same_stamp(&f->rules->stamp, &now);
    hone_status status = current ? HONE_OK : read_rules(f, &now);
    if (status == HONE_OK) {
        f->rules->n_users++;
        *rules = &f->rules->rules;
    }
    pthread_mutex_unlock(&f->lock);
    return status;
}

void route_files_return(route_files *f, const route_rules *rules) {
    if (!rules) return;
    pthread_mutex_lock(&f->lock);
    leave_rules((kept_rules *)(uintptr_t)rules);
    pthread_mutex_unlock(&f->lock);
}

/* --- what was measured --- */

static void forget_rows(route_files *f) {
    for (size_t k = 0; k < N_KINDS; k++) {
        measured_release(&f->rows[k].m);
        f->rows[k].there = false;
    }
}

static void close_database(route_files *f) {
    results_close(f->db);
    f->db = NULL;
    forget_rows(f);
}

/* The database is open, and `rows` are those of what it holds now. */
static hone_status look_at_database(route_files *f) {
    int64_t version;
    if (f->db && !results_is_in_place(f->db)) close_database(f);
    if (!f->db) TRY(results_open(&f->db, NULL));
    TRY(results_data_version(f->db, &version));
    if (version != f->version) forget_rows(f);
    f->version = version;
    return HONE_OK;
}

static hone_status list_candidates(buf *out, const store_listing *list) {
    for (size_t i = 0; i < list->n; i++) {
        const manifest *m = &list->entries[i]->manifest;
        TRY(buf_add_format(out, "%s %s\n", m->name.text,
                           m->n_files == 1 ? m->files[0].sha256.text : ""));
    }
    return HONE_OK;
}

/* Rows are about candidates by their places in the listing. */
static hone_status look_at_candidates(route_files *f, const store_listing *list) {
    buf now;
    buf_init(&now, MAX_LISTING_BYTES);
    hone_status status = list_candidates(&now, list);
    bool same = now.len == f->candidates.len &&
                (now.len == 0 || !memcmp(now.data, f->candidates.data, now.len));
    if (status != HONE_OK || same) {
        buf_release(&now);
        return status;
    }
    forget_rows(f);
    buf_release(&f->candidates);
    f->candidates = now;
    return HONE_OK;
}

static hone_status read_rows(route_files *f, const store_listing *candidates, prompt_kind kind) {
    TRY(look_at_database(f));
    TRY(look_at_candidates(f, candidates));
    if (f->rows[kind].there) return HONE_OK;
    hone_status status = measured_read(&f->rows[kind].m, f->db, candidates, kind);
    f->rows[kind].there = status == HONE_OK;
    if (status != HONE_OK) measured_release(&f->rows[kind].m);
    return status;
}

hone_status route_files_measured(route_files *f, measured *m, const store_listing *candidates,
                                 prompt_kind kind) {
    *m = (measured){.n_rows = 0};
    pthread_mutex_lock(&f->lock);
    hone_status status = read_rows(f, candidates, kind);
    if (status == HONE_OK) status = measured_copy(m, &f->rows[kind].m, candidates->n);
    else close_database(f);
    pthread_mutex_unlock(&f->lock);
    return status;
}

void route_files_close(route_files *f) {
    if (!f) return;
    leave_rules(f->rules);
    close_database(f);
    buf_release(&f->candidates);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}
