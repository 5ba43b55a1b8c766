/* The database of results: what goes in comes out, whoever writes beside it and however they end. */
#include "lab/results.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "hone/model.h"
#include "lab/report.h"
#include "lab/result_diff.h"
#include "lab/results_int.h"
#include "test.h"

static char folder[64], path[128];

static void forget_database(void) {
    char name[160];
    for (int i = 0; i < 3; i++) {
        static const char *const endings[] = {"", "-wal", "-shm"};
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

static results *open_new(void) {
    results *r = NULL;
    forget_database();
    CHECK_OK(results_open(&r, path));
    return r;
}

static const result_subject tale = {.role = "model", .name = "tale:1", .file = "/models/tale.gguf",
                                    .hash = "ab", .quantisation = "Q4_K_M", .bytes = 1234};

/* A finished result of one metric; returns its id. */
static int64_t add_simple(results *r, result_kind kind, double value, const validity *v) {
    const char *argv[] = {"hone", "bench", "tale:1", NULL};
    const result_start start = {.kind = kind, .subjects = &tale, .n_subjects = 1, .argv = argv};
    const result_metric metric = {.name = "decode", .condition = "depth=0", .unit = "tokens/s",
                                  .value = value, .low = value - 1, .high = value + 1, .n = 5,
                                  .better = 1};
    int64_t id = 0;
    CHECK_OK(results_begin(r, &start, &id));
    CHECK_OK(results_add_metrics(r, id, &metric, 1));
    CHECK_OK(results_finish(r, id, v, NULL));
    return id;
}

static void what_goes_in_comes_out(void) {
    results *r = open_new();
    const char *argv[] = {"hone", "eval", "tale:1", "--tasks", "arithmetic", NULL};
    const result_subject subjects[] = {tale, {.role = "draft", .name = "small"}};
    json_t *settings = json_pack("{s:i, s:b}", "threads", 2, "exact", 1);
    const result_start start = {.kind = RESULT_EVAL, .subjects = subjects, .n_subjects = 2,
                                .settings = settings, .argv = argv, .items_hash = "feed",
                                .repeats = 7};
    const double samples[] = {10, 11.5, 12};
    const result_metric metrics[] = {
        {.name = "accuracy", .condition = "task=arithmetic", .unit = "share", .value = 0.5,
         .low = 0.4, .high = 0.6, .n = 100, .better = 1, .items_hash = "feed"},
        {.name = "decode", .unit = "tokens/s", .value = 11.5, .low = NAN, .high = NAN, .n = 3,
         .better = 1, .samples = samples, .n_samples = 3}};
    json_t *scores = json_pack("{s:f}", "yes", -0.25), *detail = json_pack("{s:s}", "note", "x");
    const result_item items[] = {
        {.task = "arithmetic", .id = "2", .prompt = "1+1=", .output = "2", .verdict = "right",
         .score = 1, .scores = scores},
        {.task = "arithmetic", .id = "1", .prompt = "2+2=", .verdict = "invalid",
         .reason = "empty_answer", .score = NAN}};
    validity v = {.n = 0};
    int64_t id = 0;
    validity_doubt(&v, VALIDITY_SWAPPING, "it was swapped");
    CHECK_OK(results_begin(r, &start, &id));
    CHECK_OK(results_add_items(r, id, items, 2));
    CHECK_OK(results_add_metrics(r, id, metrics, 2));
    CHECK_OK(results_finish(r, id, &v, detail));
    results_close(r);

    stored_result got = {.id = 0};
    CHECK_OK(results_open(&r, path));
    CHECK_OK(results_get(r, id, &got));
    CHECK(got.id == id && got.kind == RESULT_EVAL && got.finished && got.repeats == 7);
    CHECK(got.process == getpid() && got.started_ms > 1700000000000 && got.seconds >= 0);
    CHECK(got.n_subjects == 2 && !strcmp(got.subjects[0].name, "tale:1") &&
          !strcmp(got.subjects[0].quantisation, "Q4_K_M") && got.subjects[0].bytes == 1234);
    CHECK(!strcmp(got.subjects[1].role, "draft") && !strcmp(got.subjects[1].hash, ""));
    CHECK(json_equal(got.settings, settings) && json_equal(got.detail, detail));
    CHECK(!strcmp(got.items_hash, "feed") && got.n_items == 2);
    CHECK(got.argv && !strcmp(got.argv[4], "arithmetic") && !got.argv[5]);
    CHECK(strlen(got.machine.fingerprint) == 16 && got.machine.n_cores > 0);
    CHECK(strstr(got.build, hone_version()) == got.build && strlen(got.build) > 20);
    CHECK(got.validity.n == 1 && got.validity.reasons[0].code == VALIDITY_SWAPPING &&
          !strcmp(got.validity.reasons[0].words, "it was swapped"));
    const result_metric *m = result_find_metric(&got, "accuracy", "task=arithmetic");
    CHECK(m && m->value == 0.5 && m->high == 0.6 && m->n == 100 && !strcmp(m->items_hash, "feed"));
    m = result_find_metric(&got, "decode", "");
    CHECK(m && isnan(m->low) && m->n_samples == 3 && m->samples[1] == 11.5);
    result_release(&got);
    results_close(r);
    json_decref(settings);
    json_decref(detail);
    json_decref(scores);
}

static hone_status collect_ids(void *context, const result_item *item) {
    strcat(context, item->id);
    return HONE_OK;
}

static void items_come_in_the_order_of_their_ids_and_replace_each_other(void) {
    results *r = open_new();
    int64_t id = add_simple(r, RESULT_EVAL, 1, NULL);
    const result_item items[] = {{.task = "t", .id = "b", .score = 1}, {.task = "t", .id = "a"},
                                 {.task = "t", .id = "b", .score = 0}};
    char ids[16] = "";
    stored_result got;
    CHECK_OK(results_add_items(r, id, items, 3));
    CHECK_OK(results_each_item(r, id, collect_ids, ids));
    CHECK(!strcmp(ids, "ab"));
    CHECK_OK(results_get(r, id, &got));
    CHECK(got.n_items == 2);
    result_release(&got);
    results_close(r);
}

static size_t count(results *r, const results_filter *f) {
    results_list list = {.n = 0};
    CHECK_OK(results_find(r, f, &list));
    size_t n = list.n;
    for (size_t i = 1; i < n; i++) CHECK(list.results[i - 1].id < list.results[i].id);
    results_list_release(&list);
    return n;
}

static void filters_choose(void) {
    results *r = open_new();
    validity v = {.n = 0};
    validity_doubt(&v, VALIDITY_EARLY_END, "early");
    add_simple(r, RESULT_BENCH, 1, NULL);
    add_simple(r, RESULT_LOAD, 2, NULL);
    int64_t last = add_simple(r, RESULT_BENCH, 3, &v);
    stored_result got;
    CHECK_OK(results_get(r, last, &got));
    CHECK(count(r, &(results_filter){.wanted = RESULTS_ALL}) == 3);
    CHECK(count(r, &(results_filter){.wanted = RESULTS_VALID}) == 2);
    CHECK(count(r, &(results_filter){.wanted = RESULTS_INVALID}) == 1);
    CHECK(count(r, &(results_filter){.kind = "bench", .wanted = RESULTS_ALL}) == 2);
    CHECK(count(r, &(results_filter){.model = "TALE"}) == 2);
    CHECK(count(r, &(results_filter){.model = "other"}) == 0);
    CHECK(count(r, &(results_filter){.fingerprint = got.machine.fingerprint}) == 2);
    CHECK(count(r, &(results_filter){.fingerprint = "0"}) == 0);
    CHECK(count(r, &(results_filter){.since_ms = got.started_ms + 1, .wanted = RESULTS_ALL}) == 0);
    CHECK(count(r, &(results_filter){.wanted = RESULTS_ALL, .n_most = 2}) == 2);
    result_release(&got);
    CHECK_OK(results_delete(r, last));
    CHECK(results_delete(r, last) == HONE_ERR_NOT_FOUND);
    CHECK(results_get(r, last, &got) == HONE_ERR_NOT_FOUND);
    CHECK(count(r, &(results_filter){.wanted = RESULTS_ALL}) == 2);
    CHECK(add_simple(r, RESULT_BENCH, 4, NULL) > last); /* an id is never used again */
    results_close(r);
}

static void a_run_that_did_not_end_is_invalid(void) {
    results *r = open_new();
    const result_start start = {.kind = RESULT_BENCH, .subjects = &tale, .n_subjects = 1};
    int64_t id;
    stored_result got;
    CHECK_OK(results_begin(r, &start, &id));
    CHECK_OK(results_get(r, id, &got));
    CHECK(!got.finished && validity_has(&got.validity, VALIDITY_UNFINISHED));
    CHECK(got.argv == NULL);
    result_release(&got);
    CHECK(count(r, &(results_filter){.wanted = RESULTS_VALID}) == 0);
    CHECK(results_finish(r, id + 1, NULL, NULL) == HONE_ERR_NOT_FOUND);
    results_close(r);
}

static void text_that_is_no_utf8_is_kept_with_a_sign(void) {
    results *r = open_new();
    const result_subject bad = {.role = "model", .name = "a\xff" "b"};
    const result_start start = {.kind = RESULT_BENCH, .subjects = &bad, .n_subjects = 1};
    int64_t id;
    stored_result got;
    CHECK_OK(results_begin(r, &start, &id));
    CHECK_OK(results_get(r, id, &got));
    CHECK(!strcmp(got.subjects[0].name, "a\xef\xbf\xbd" "b"));
    result_release(&got);
    results_close(r);
}

/* --- several writers, and their death --- */

/* Tells the parent that nothing will come. */
static void give_up(int ready, int code) {
    fprintf(stderr, "a writer: %s\n", hone_error_message());
    _exit(write(ready, "!", 1) == 1 ? code : 9);
}

static void write_for_ever(int ready) {
    results *r;
    if (results_open(&r, path) != HONE_OK) give_up(ready, 1);
    for (int i = 0;; i++) {
        const result_item items[] = {{.task = "t", .id = "1", .output = "x"},
                                     {.task = "t", .id = "2"}};
        const result_start start = {.kind = RESULT_EVAL, .subjects = &tale, .n_subjects = 1};
        int64_t id;
        if (results_begin(r, &start, &id) != HONE_OK) give_up(ready, 2);
        if (results_add_items(r, id, items, 2) != HONE_OK) give_up(ready, 3);
        if (results_finish(r, id, NULL, NULL) != HONE_OK) give_up(ready, 4);
        if (i == 3 && write(ready, "", 1) != 1) _exit(5);
    }
}

static void writers_share_it_and_survive_each_others_death(void) {
    enum { WRITERS = 3, ROUNDS = 6 };
    results_close(open_new());
    forget_database(); /* so that they race for making it, too */
    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[WRITERS];
        int ready[2];
        char byte;
        CHECK(pipe(ready) == 0);
        for (int i = 0; i < WRITERS; i++) {
            children[i] = fork();
            if (children[i] == 0) write_for_ever(ready[1]);
        }
        close(ready[1]);
        for (int i = 0; i < WRITERS; i++) CHECK(read(ready[0], &byte, 1) == 1 && byte == 0);
        close(ready[0]);
        for (int i = 0; i < WRITERS; i++) {
            int status;
            usleep(1500 * (useconds_t)(round + 1));
            kill(children[i], SIGKILL);
            CHECK(waitpid(children[i], &status, 0) == children[i]);
            CHECK(WIFSIGNALED(status)); /* none had failed before */
        }
    }
    results *r = NULL;
    results_list list = {.n = 0};
    size_t n_unfinished = 0;
    CHECK_OK(results_open(&r, path));
    CHECK_OK(results_find(r, &(results_filter){.wanted = RESULTS_ALL}, &list));
    CHECK(list.n >= WRITERS * ROUNDS * 4);
    for (size_t i = 0; i < list.n; i++) {
        n_unfinished += !list.results[i].finished;
        CHECK(list.results[i].n_items == 2 ||
              (list.results[i].n_items == 0 && !list.results[i].finished));
        CHECK(list.results[i].n_subjects == 1);
    }
    CHECK_MSG(n_unfinished <= WRITERS * ROUNDS, "%zu", n_unfinished);
    results_list_release(&list);
    CHECK_OK(results_run(r, "PRAGMA integrity_check"));
    add_simple(r, RESULT_BENCH, 1, NULL);
    results_close(r);
}

/* --- other databases --- */

static void run_sql(const char *sql) {
    sqlite3 *db;
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK_MSG(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void what_is_not_ours_or_later_is_refused_and_left_alone(void) {
    results *r = NULL;
    forget_database();
    run_sql("CREATE TABLE recipes (name TEXT)");
    CHECK(results_open(&r, path) == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), "another program"));
    results_close(open_new());
    run_sql("PRAGMA user_version = 99");
    CHECK(results_open(&r, path) == HONE_ERR_UNSUPPORTED);
    forget_database();
    CHECK_OK(fs_write_file(path, "this is no database, and longer than a header of one, really, by far", 68));
    CHECK(results_open(&r, path) == HONE_ERR_FORMAT);
}

static void an_earlier_database_is_migrated_with_what_it_holds(void) {
    sqlite3 *db;
    results *r = NULL;
    stored_result got;
    char hash[65];
    forget_database();
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, results_steps[0], NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_exec(db,
                       "PRAGMA application_id = 0x686f6e65; PRAGMA user_version = 1;"
                       "INSERT INTO machine VALUES ('0123456789abcdef', 'cpu', 'avx2', 2, 4, 1, 1);"
                       "INSERT INTO result VALUES (5, 'bench', 'finished', 1, 2.5, '0123456789abcdef',"
                       " 'Linux', '0.0', 1, '/', NULL, '{}', '{}', NULL, NULL, NULL)",
                       NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    CHECK_OK(results_open(&r, path));
    CHECK_OK(results_get(r, 5, &got));
    CHECK(got.seconds == 2.5 && got.machine.n_processors == 4);
    result_release(&got);
    CHECK_OK(results_hash(r, "Makefile", hash, NULL, NULL)); /* the table of step 2 is there */
    results_close(r);
}

static int n_reads;
static bool count_reads(void *context, uint64_t bytes) {
    (void)context, (void)bytes;
    n_reads++;
    return true;
}

static void a_file_is_hashed_again_only_when_it_has_changed(void) {
    results *r = open_new();
    char file[160], one[65], two[65], folder_hash[65], other[65];
    snprintf(file, sizeof file, "%s/model.gguf", folder);
    CHECK_OK(fs_write_file(file, "abc", 3));
    n_reads = 0;
    CHECK_OK(results_hash(r, file, one, count_reads, NULL));
    CHECK(!strcmp(one, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    int reads = n_reads;
    CHECK(reads > 0);
    CHECK_OK(results_hash(r, file, two, count_reads, NULL));
    CHECK(n_reads == reads && !strcmp(one, two));
    forget_database();
    CHECK_OK(results_hash(r, file, two, NULL, NULL));
    CHECK_OK(fs_write_file(file, "abd", 3));
    CHECK_OK(results_hash(r, file, two, count_reads, NULL));
    CHECK(n_reads > reads && strcmp(one, two) != 0);
    results_close(r);
    r = open_new();
    char models[160], part[200];
    snprintf(models, sizeof models, "%s/folder", folder);
    snprintf(part, sizeof part, "%s/a", models);
    CHECK_OK(fs_make_folders(models));
    CHECK_OK(fs_write_file(part, "abc", 3));
    CHECK_OK(results_hash(r, models, folder_hash, NULL, NULL));
    part[strlen(part) - 1] = 'b';
    CHECK_OK(fs_write_file(part, "abc", 3));
    CHECK_OK(results_hash(r, models, other, NULL, NULL));
    CHECK(strcmp(folder_hash, other) != 0);
    CHECK(results_hash(r, "/nowhere", other, NULL, NULL) == HONE_ERR_NOT_FOUND);
    results_close(r);
}

/* --- memory --- */

/* Every form of a report, and a comparison. */
static hone_status report_all(results *r, const results_list *list) {
    hone_status (*const forms[])(buf *, const stored_result *,
                                 size_t) = {report_csv, report_markdown, report_html};
    hone_status status = HONE_OK;
    for (size_t i = 0; i < 3 && status == HONE_OK; i++) {
        buf out;
        buf_init(&out, REPORT_MAX_BYTES);
        status = forms[i](&out, list->results, list->n);
        buf_release(&out);
    }
    result_diff d = {.n_rows = 0};
    if (status == HONE_OK) status = result_diff_make(&d, r, &list->results[0], &list->results[0]);
    if (status == HONE_OK) CHECK(d.n_rows == 1 && d.n_tasks == 1 && d.tasks[0].n == 1);
    result_diff_release(&d);
    return status;
}

static hone_status all_of_it(void) {
    results *r;
    TRY(results_open(&r, path));
    const char *argv[] = {"hone", NULL};
    const result_start start = {.kind = RESULT_EVAL, .subjects = &tale, .n_subjects = 1,
                                .argv = argv};
    const double samples[] = {1, 2};
    const result_metric metric = {.name = "m", .unit = "u", .samples = samples, .n_samples = 2};
    const result_item item = {.task = "t", .id = "1", .prompt = "p"};
    int64_t id;
    results_list list = {.n = 0};
    hone_status status = results_begin(r, &start, &id);
    if (status == HONE_OK) status = results_add_metrics(r, id, &metric, 1);
    if (status == HONE_OK) status = results_add_items(r, id, &item, 1);
    if (status == HONE_OK) status = results_finish(r, id, NULL, NULL);
    if (status == HONE_OK) {
        status = results_find(r, &(results_filter){.wanted = RESULTS_ALL, .n_most = 1}, &list);
    }
    if (status == HONE_OK) status = report_all(r, &list);
    results_list_release(&list);
    results_close(r);
    return status;
}

static void every_allocation_may_fail(void) {
    results_close(open_new());
    CHECK_OK(all_of_it());
    mem_fail_from(0);
    CHECK_OK(all_of_it());
    long n = mem_count();
    CHECK(n > 100);
    for (long i = 1; i <= n; i += 1 + i / 12) {
        mem_fail_from(i);
        hone_status status = all_of_it();
        mem_fail_from(0);
        CHECK_MSG(status == HONE_ERR_MEMORY, "allocation %ld of %ld: %s", i, n,
                  hone_error_message());
    }
    CHECK_OK(all_of_it());
}

int main(void) {
    /* in memory where that can be had: every commit waits for the disk */
    snprintf(folder, sizeof folder, "%s/hone-results-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/results.db", folder);
    RUN(what_goes_in_comes_out);
    RUN(items_come_in_the_order_of_their_ids_and_replace_each_other);
    RUN(filters_choose);
    RUN(a_run_that_did_not_end_is_invalid);
    RUN(text_that_is_no_utf8_is_kept_with_a_sign);
    RUN(writers_share_it_and_survive_each_others_death);
    RUN(what_is_not_ours_or_later_is_refused_and_left_alone);
    RUN(an_earlier_database_is_migrated_with_what_it_holds);
    RUN(a_file_is_hashed_again_only_when_it_has_changed);
    RUN(every_allocation_may_fail);
    fs_remove_tree(folder);
    return test_summary();
}
