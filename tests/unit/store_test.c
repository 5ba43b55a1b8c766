/* Names, manifests, paths, listing, removing: everything of the store that needs no network. */
#include "base/mem.h"
#include "base/sha256.h"
#include "store_world.h"
#include "weights/catalogue.h"
#include "weights/paths.h"
#include "weights/store.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A model of 5 bytes, put there by hand. */
static void plant(const char *name, const char *tag, const char *sha) {
    char place[200], text[600];
    snprintf(place, sizeof place, "models/%s/%s.json", name, tag);
    snprintf(text, sizeof text,
             "{\"format\": 1, \"name\": \"%s:%s\", \"license\": \"MIT\", \"source\": \"hf:a/b#c\","
             " \"new\": [1], \"files\": [{\"role\": \"model\", \"name\": \"x.gguf\","
             " \"sha256\": \"%s\", \"bytes\": 5}]}", name, tag, sha);
    world_write(place, text);
    snprintf(place, sizeof place, "blobs/sha256-%s", sha);
    world_write(place, "GGUF!");
}

static store *open_store(void) {
    store *s = NULL;
    CHECK_OK(store_open(&s, NULL));
    return s;
}

static bool is_listed(const char *name) {
    store *s = open_store();
    store_listing listing = {0};
    bool found = false;
    CHECK_OK(store_list(s, false, &listing));
    for (size_t i = 0; i < listing.n; i++)
        found = found || strcmp(listing.entries[i]->manifest.name.text, name) == 0;
    store_listing_release(&listing);
    store_close(s);
    return found;
}

/* --- names and places --- */

static void names_get_a_tag(void) {
    model_name name;
    CHECK_OK(model_name_parse(&name, "tinyllama"));
    CHECK(strcmp(name.text, "tinyllama:latest") == 0);
    CHECK_OK(model_name_parse(&name, "hf.co/Qwen/Qwen2.5-1.5B-Instruct-GGUF:Q4_K_M"));
    CHECK(strcmp(name.text, "hf.co/Qwen/Qwen2.5-1.5B-Instruct-GGUF:Q4_K_M") == 0);
}

static void names_cannot_leave_the_store(void) {
    static const char *const bad[] = {"",      ".",     "..",   "../x",   "a/../b", "a//b", "/a",
                                      "a:",    ":a",    "a:b:c", "a:b/c", "a:..",   "a b",  "-a",
                                      "a/.b",  "a\nb",  "a\\b", "a/b/c/d/e/f/g/h/i", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        model_name name = {"untouched"};
        CHECK_MSG(model_name_parse(&name, bad[i]) == HONE_ERR_ARGUMENT, "\"%s\"", bad[i]);
        CHECK(strcmp(name.text, "untouched") == 0);
    }
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[299] = 0;
    model_name name;
    CHECK(model_name_parse(&name, longest) == HONE_ERR_ARGUMENT);
}

static void folders_follow_hone_home_then_xdg(void) {
    fs_path path;
    setenv("XDG_DATA_HOME", "/xdg/data", 1);
    setenv("XDG_STATE_HOME", "relative", 1);
    setenv("HONE_HOME", "/my/hone/", 1);
    CHECK_OK(paths_folder(&path, PATHS_DATA));
    CHECK(strcmp(path.text, "/my/hone") == 0);
    CHECK_OK(paths_folder(&path, PATHS_CACHE));
    CHECK(strcmp(path.text, "/my/hone/cache") == 0);
    setenv("HONE_HOME", "", 1);
    char *home = getenv("HOME") ? mem_copy_string(getenv("HOME"), strlen(getenv("HOME"))) : NULL;
    setenv("HOME", "/home/somebody", 1);
    CHECK_OK(paths_folder(&path, PATHS_DATA));
    CHECK(strcmp(path.text, "/xdg/data/hone") == 0);
    CHECK_OK(paths_folder(&path, PATHS_STATE)); /* a relative variable does not count */
    CHECK(strcmp(path.text, "/home/somebody/.local/state/hone") == 0);
    unsetenv("XDG_DATA_HOME");
    CHECK_OK(paths_folder(&path, PATHS_DATA));
    CHECK(strcmp(path.text, "/home/somebody/.local/share/hone") == 0);
    unsetenv("XDG_STATE_HOME");
    if (home) setenv("HOME", home, 1);
    mem_free(home);
    world_new_home();
}

static void check_catalogue_file(const catalogue_file *file) {
    CHECK(file->sources[0]);
    CHECK(!file->sha256 || (sha256_is_hex(file->sha256) && file->bytes && file->name));
    for (const char *const *text = file->sources; *text; text++) {
        origin source;
        CHECK_OK(origin_parse(&source, *text));
        CHECK_MSG(!file->name || strcmp(source.file, file->name) == 0, "%s", *text);
    }
}

static void the_catalogue_holds_together(void) {
    catalogue *c;
    const catalogue_entry *entry;
    if (!CHECK_OK(catalogue_open(&c))) return;
    for (size_t i = 0; (entry = catalogue_at(c, i)); i++) {
        model_name name;
        uint64_t bytes = 0;
        CHECK(model_name_parse(&name, entry->name) == HONE_OK && strchr(entry->name, ':'));
        CHECK(catalogue_find(c, entry->name) == entry && entry->n_files > 0);
        for (const char *const *alias = entry->aliases; *alias; alias++)
            CHECK_MSG(catalogue_find(c, *alias) == entry, "%s", *alias);
        for (size_t k = 0; k < entry->n_files; k++) {
            check_catalogue_file(&entry->files[k]);
            bytes += entry->files[k].bytes;
        }
        CHECK_MSG(!entry->files[0].bytes || bytes == entry->bytes, "%s", entry->name);
    }
    CHECK(catalogue_find(c, "SmolLM2") == catalogue_built_in(0));
    CHECK(!catalogue_find(c, "smol"));
    catalogue_close(c);
}

/* --- the user's own entries --- */

static void own_entries_come_first(void) {
    catalogue *c;
    world_new_home();
    world_write("config/models.conf",
                "# mine\n\n[mine:7b]\nalias = mine\n  license=MIT\r\n"
                "source = hf.co/me/mine-GGUF:Q5_K_M\nsource = https://example.org/x.gguf\n"
                "[parts:1]\nfile = a.bin\nbytes = 5\nsha256 = " SHA_A "\nsource = pip:a==1#x\n"
                "file = b.json\nbytes = 7\nsource = https://example.org/b.json\n"
                "[smollm2:135m]\nsource = /my/own.gguf");
    if (!CHECK_OK(catalogue_open(&c))) return;
    const catalogue_entry *mine = catalogue_find(c, "MINE"), *parts = catalogue_find(c, "parts:1");
    CHECK(mine && strcmp(mine->name, "mine:7b") == 0 && strcmp(mine->license, "MIT") == 0);
    CHECK(mine && mine->n_files == 1 && !mine->files[0].name && mine->files[0].sources[1]);
    CHECK(parts && parts->n_files == 2 && parts->bytes == 12);
    CHECK(parts && strcmp(parts->files[1].name, "b.json") == 0 && !parts->files[1].sha256);
    const catalogue_entry *smol = catalogue_find(c, "smollm2:135m");
    CHECK(smol && strcmp(smol->files[0].sources[0], "/my/own.gguf") == 0);
    CHECK(catalogue_find(c, "qwen2.5:1.5b"));
    catalogue_close(c);
}

static void mistakes_in_own_entries_are_told_with_their_line(void) {
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"source = /x", "models:1: source: a line [name:tag] must stand before it"},
        {"[a:1]\nsource = /x\n\n[a:1]\nsource = /y", "models:4: [a:1] is there twice"},
        {"[a]\n", "models:1: [a]: expected [name:tag]"},
        {"[a:1\n", "models:1: expected [name:tag]"},
        {"[a:1]\n[b:1]\n", "models:2: [a:1] has no source"},
        {"[a:1]", "models:1: [a:1] has no source"},
        {"[a:1]\nfile = x\n[b:1]", "models:3: [a:1]: a file without a source"},
        {"[a:1]\ncolour = red", "models:2: colour: no such key"},
        {"[a:1]\nsource", "models:2: expected [name:tag] or key = value"},
        {"[a:1]\nsource =", "models:2: source: no value"},
        {"[a:1]\nsource = ftp://x/y", "models:2: "},
        {"[a:1]\nsource = x", "models:2: source: x is none that hone knows"},
        {"[a:1]\nsource = hf.co/a", "models:2: "},
        {"[a:1]\nbytes = 5", "models:2: bytes: a line \"file = …\" must stand before it"},
        {"[a:1]\nfile = x\nbytes = many", "models:3: bytes: expected a number"},
        {"[a:1]\nfile = x\nsha256 = 12", "models:3: sha256: expected 64"},
        {"[a:1]\nfile = ../x", "models:2: file: expected a plain file name"},
        {"[a:1]\nsource = /x\nfile = y", "models:3: file: must stand before"},
        {"[../a:1]", "models:1: [../a:1]: expected [name:tag]"},
        {"\xff", "models: not text in UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        catalogue *c;
        const char *text = cases[i].text;
        CHECK_MSG(catalogue_parse(&c, text, strlen(text), "models") == HONE_ERR_FORMAT, "%s", text);
        CHECK_MSG(strncmp(hone_error_message(), cases[i].words, strlen(cases[i].words)) == 0,
                  "expected: %s\nfound:    %s", cases[i].words, hone_error_message());
    }
}

/* --- sources --- */

static void sources_are_taken_apart(void) {
    origin s;
    CHECK_OK(origin_parse(&s, "hf:Own-er/repo.x@v1.0#sub/My File (1).gguf"));
    CHECK(s.kind == ORIGIN_HUB && strcmp(s.hub.repository, "Own-er/repo.x") == 0);
    CHECK(strcmp(s.hub.revision, "v1.0") == 0 && strcmp(s.hub.path, "sub/My File (1).gguf") == 0);
    CHECK(strcmp(s.file, "My File (1).gguf") == 0);
    CHECK_OK(origin_parse(&s, "hf:a/b#c.gguf"));
    CHECK(!s.hub.revision[0] && strcmp(s.file, "c.gguf") == 0);
    CHECK_OK(origin_parse(&s, "hf.co/Qwen/Qwen2.5-1.5B-Instruct-GGUF:Q4_K_M"));
    CHECK(s.kind == ORIGIN_HUB && strcmp(s.hub.quant, "Q4_K_M") == 0 && !s.file[0]);
    CHECK_OK(origin_parse(&s, "hf.co/a/b@v1/sub/c.gguf"));
    CHECK(strcmp(s.hub.revision, "v1") == 0 && strcmp(s.hub.path, "sub/c.gguf") == 0);
    CHECK_OK(origin_parse(&s, "https://huggingface.co/a/b/resolve/v2/c.gguf?download=true"));
    CHECK(s.kind == ORIGIN_HUB && strcmp(s.hub.revision, "v2") == 0);
    CHECK(strcmp(s.hub.path, "c.gguf") == 0);
    CHECK_OK(origin_parse(&s, "https://huggingface.co/a/b/tree/main"));
    CHECK(s.kind == ORIGIN_HUB && !s.hub.path[0] && strcmp(s.hub.revision, "main") == 0);
    CHECK_OK(origin_parse(&s, "ollama.com/library/tinyllama"));
    CHECK(s.kind == ORIGIN_OLLAMA && strcmp(s.registry.tag, "latest") == 0);
    CHECK(strcmp(s.registry.repository, "library/tinyllama") == 0);
    CHECK_OK(origin_parse(&s, "ollama.com/tinyllama:q4"));
    CHECK(strcmp(s.registry.repository, "library/tinyllama") == 0);
    CHECK(strcmp(s.registry.tag, "q4") == 0);
    CHECK_OK(origin_parse(&s, "ollama:127.0.0.1:5000/me/x:1b"));
    CHECK(strcmp(s.registry.host, "127.0.0.1:5000") == 0 && strcmp(s.registry.tag, "1b") == 0);
    CHECK_OK(origin_parse(&s, "pip:a-b==1.0#d/x.part0,c==2!3+4#y"));
    CHECK(s.kind == ORIGIN_PIP && s.n_parts == 2 && strcmp(s.parts[0].package, "a-b") == 0);
    CHECK(strcmp(s.parts[1].version, "2!3+4") == 0 && strcmp(s.parts[1].member, "y") == 0);
    CHECK_OK(origin_parse(&s, "pip:a==1+x#b+c/y+d==2+z#e+f"));
    CHECK(s.n_parts == 2 && strcmp(s.parts[0].member, "b+c/y") == 0);
    CHECK(strcmp(s.parts[1].version, "2+z") == 0 && strcmp(s.parts[1].member, "e+f") == 0);
    CHECK_OK(origin_parse(&s, "https://example.org/a/b.gguf?key=1#f"));
    CHECK(s.kind == ORIGIN_URL && strcmp(s.file, "b.gguf") == 0);
}

static void bad_sources_are_refused(void) {
    static const char *const bad[] = {
        "hf:a/b#",          "hf:a#x",         "hf:a/../b#x",      "hf:a/b#../x",  "hf:a/b@#x",
        "hf.co/a",          "hf.co/a/b:",     "hf.co/a/b:q/x",    "hf.co/a/b/../c", "hf.co//b",
        "ollama.com/",      "ollama.com/../x", "ollama.com/a/b:",  "ollama:host",  "ollama:/a/b",
        "ollama.com/a/b@sha256:12", "ollama:-h/a/b",
        "hf:#x",            "hf:a/b@x/y#z",   "hf:/a/b#x",        "hf:a/b#x\ny",  "pip:a#x",
        "pip:a==#x",        "pip:-r==1#x",    "pip:a==1",         "pip:a==1#",    "pip:a==1#/etc/x",
        "pip:a==1#x/../y",  "pip:a==1#x,",    "pip:--pre==1#x",   "pip:a b==1#x", "pip:a==1;c#x",
        "https://",         "ftp://h/x.gguf", "git://h/x",        "pip:a==1#-x",     "pip:..==1#x",
        "pip:a==1#x,..==2#y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        origin s;
        CHECK_MSG(origin_is_meant(bad[i]), "%s", bad[i]);
        CHECK_MSG(origin_parse(&s, bad[i]) == HONE_ERR_ARGUMENT, "%s", bad[i]);
    }
    CHECK(!origin_is_meant("smollm2:135m") && !origin_is_meant("./x.gguf"));
}

static bool is_named(const char *source, const char *expected) {
    origin s;
    model_name name = {""};
    bool right = origin_parse(&s, source) == HONE_OK && origin_model_name(&s, &name) == HONE_OK &&
                 strcmp(name.text, expected) == 0;
    if (!right) printf("%s: %s\n", source, name.text);
    return right;
}

static void models_are_named_after_their_sources(void) {
    CHECK(is_named("hf.co/Qwen/Q-GGUF:Q4_K_M", "hf.co/Qwen/Q-GGUF:Q4_K_M"));
    CHECK(is_named("hf.co/Qwen/Q-GGUF:q4_k_m", "hf.co/Qwen/Q-GGUF:Q4_K_M"));
    CHECK(is_named("hf.co/Qwen/Q-GGUF/q-q4_k_m-00001-of-00002.gguf", "hf.co/Qwen/Q-GGUF:Q4_K_M"));
    CHECK(is_named("hf.co/a/b", "hf.co/a/b:latest"));
    CHECK(is_named("hf.co/a/b/weights (1).gguf", "hf.co/a/b:weights--1-"));
    CHECK(is_named("ollama.com/library/tinyllama", "ollama.com/library/tinyllama:latest"));
    CHECK(is_named("registry.ollama.ai/me/x:1b", "ollama.com/me/x:1b"));
    CHECK(is_named("ollama:127.0.0.1:5000/me/x:1b", "127.0.0.1-5000/me/x:1b"));
    CHECK(is_named("https://example.org/TinyLlama-1.1B.Q4_K_M.gguf",
                   "tinyllama-1.1b.q4_k_m:latest"));
    CHECK(is_named("https://example.org/x-00001-of-00002.gguf", "x:latest"));
}

static void quantisations_are_read_from_names(void) {
    static const char *const cases[][2] = {
        {"qwen2.5-1.5b-instruct-q4_k_m.gguf", "Q4_K_M"}, {"tiny.Q4_K_M.gguf", "Q4_K_M"},
        {"M-IQ4_XS.gguf", "IQ4_XS"}, {"m-bf16.gguf", "BF16"}, {"m-F16.gguf", "F16"},
        {"q-q8_0-00001-of-00003.gguf", "Q8_0"}, {"SmolLM2-135M.Q4_1.gguf", "Q4_1"},
        {"model.gguf", ""}, {"qwen.gguf", ""}, {"M-UD-Q4_K_XL.gguf", "Q4_K_XL"}, {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char quant[64];
        origin_quant_of_file(quant, sizeof quant, cases[i][0]);
        CHECK_MSG(strcmp(quant, cases[i][1]) == 0, "%s: %s", cases[i][0], quant);
    }
}

/* --- manifests --- */

static hone_status parse(const char *text) {
    manifest m;
    hone_status status = manifest_parse(&m, text, strlen(text), "test");
    if (status == HONE_OK) manifest_release(&m);
    return status;
}

#define MANIFEST(format, name, sha, bytes)                                                    \
    "{\"format\": " format ", \"name\": \"" name "\", \"files\": [{\"sha256\": \"" sha "\", " \
    "\"bytes\": " bytes "}]}"

static void good_manifests_are_read(void) {
    CHECK_OK(parse(MANIFEST("1", "a:b", SHA_A, "5")));
}

static void bad_manifests_are_refused(void) {
    CHECK(parse(MANIFEST("2", "a:b", SHA_A, "5")) == HONE_ERR_UNSUPPORTED);
    CHECK(parse(MANIFEST("1", "../a", SHA_A, "5")) == HONE_ERR_FORMAT);
    CHECK(parse(MANIFEST("1", "a:b", "../../x", "5")) == HONE_ERR_FORMAT);
    CHECK(parse(MANIFEST("1", "a:b", SHA_A "a", "5")) == HONE_ERR_FORMAT);
    CHECK(parse(MANIFEST("1", "a:b", SHA_A, "-5")) == HONE_ERR_FORMAT);
    CHECK(parse(MANIFEST("1", "a:b", SHA_A, "\"5\"")) == HONE_ERR_FORMAT);
    CHECK(parse("{\"format\": 1, \"name\": \"a:b\", \"files\": [{\"bytes\": 5, \"name\": "
                "\"x\", \"path\": \"x\"}]}") == HONE_ERR_FORMAT); /* a relative path */
    CHECK(parse("{\"format\": 1, \"name\": \"a:b\", \"files\": [{\"bytes\": 5, \"name\": "
                "\"../x\", \"path\": \"/x\"}]}") == HONE_ERR_FORMAT);
    CHECK(parse("") == HONE_ERR_FORMAT);
    CHECK(parse("[]") == HONE_ERR_FORMAT);
    CHECK(parse("{\"format\": 1, \"name\": \"a:b\", \"files\": []}") == HONE_ERR_FORMAT);
    CHECK(parse("{\"format\": 1, \"name\": \"a:b\", \"files\": [7]}") == HONE_ERR_FORMAT);
    CHECK(parse("{\"format\": 1, \"name\": \"a:b\"}") == HONE_ERR_FORMAT);
}

static void a_written_manifest_reads_back(void) {
    manifest_file file = {.role = "model", .name = "x \"y\".gguf", .bytes = 7};
    strcpy(file.sha256.text, SHA_A);
    manifest m = {.pulled = 1700000000, .files = &file, .n_files = 1}, back;
    CHECK_OK(model_name_parse(&m.name, "a/b:c"));
    strcpy(m.license, "Apache-2.0");
    strcpy(m.source, "hf:a/b#c");
    const char *path = world_path("m.json");
    CHECK_OK(manifest_write(&m, path));
    if (!CHECK_OK(manifest_read(&back, path))) return;
    CHECK(strcmp(back.name.text, "a/b:c") == 0 && back.pulled == m.pulled && back.n_files == 1);
    CHECK(strcmp(back.license, m.license) == 0 && strcmp(back.source, m.source) == 0);
    CHECK(memcmp(back.files, &file, sizeof file) == 0);
    manifest_release(&back);
}

/* --- the store --- */

static void an_empty_store_needs_no_folder(void) {
    world_new_home();
    rmdir(world_home);
    store *s = open_store();
    store_listing listing;
    CHECK_OK(store_list(s, false, &listing));
    CHECK(listing.n == 0 && listing.disk_bytes == 0);
    store_listing_release(&listing);
    CHECK(store_remove(s, "x", NULL) == HONE_ERR_NOT_FOUND);
    CHECK(access(world_home, F_OK) != 0); /* and makes none */
    store_close(s);
}

static void the_list_is_sorted_and_counts_blobs_once(void) {
    world_new_home();
    plant("zeta", "latest", SHA_A);
    plant("hf.co/a/b", "Q4", SHA_A);
    plant("alpha", "x", SHA_B);
    store *s = open_store();
    store_listing listing;
    CHECK_OK(store_list(s, false, &listing));
    CHECK(listing.n == 3 && listing.disk_bytes == 10);
    static const char *const names[] = {"alpha:x", "hf.co/a/b:Q4", "zeta:latest"};
    for (size_t i = 0; i < listing.n && i < 3; i++) {
        CHECK(strcmp(listing.entries[i]->manifest.name.text, names[i]) == 0);
        CHECK(!listing.entries[i]->problem[0] && listing.entries[i]->bytes == 5);
    }
    store_listing_release(&listing);
    store_close(s);
}

static void what_is_broken_is_listed_with_its_problem(void) {
    world_new_home();
    plant("gone", "latest", SHA_A);
    unlink(world_path("blobs/sha256-" SHA_A));
    plant("short", "latest", SHA_B);
    world_write("blobs/sha256-" SHA_B, "GG");
    world_write("models/bad/latest.json", "{");
    world_write("models/bad/readme.txt", "not a manifest");
    store *s = open_store();
    store_listing listing;
    store_entry entry;
    CHECK_OK(store_list(s, false, &listing));
    CHECK(listing.n == 3);
    for (size_t i = 0; i < listing.n; i++) CHECK(listing.entries[i]->problem[0]);
    store_listing_release(&listing);
    CHECK(store_find(s, "gone", &entry) == HONE_ERR_FORMAT);
    CHECK(store_find(s, "bad", &entry) == HONE_ERR_FORMAT);
    CHECK_OK(store_remove(s, "gone", NULL));
    CHECK_OK(store_remove(s, "bad", NULL)); /* broken ones can be removed, too */
    CHECK(!world_exists("models/bad/latest.json") && world_exists("models/bad/readme.txt"));
    store_close(s);
}

static void removing_keeps_what_another_name_needs(void) {
    world_new_home();
    plant("one", "latest", SHA_A);
    plant("two", "latest", SHA_A);
    store *s = open_store();
    uint64_t freed = 99;
    CHECK_OK(store_remove(s, "one", &freed));
    CHECK(freed == 0 && !is_listed("one:latest") && is_listed("two:latest"));
    CHECK(world_exists("blobs/sha256-" SHA_A) && !world_exists("models/one"));
    CHECK_OK(store_remove(s, "two", &freed));
    CHECK(freed == 5 && !world_exists("blobs/sha256-" SHA_A));
    CHECK(store_remove(s, "two", &freed) == HONE_ERR_NOT_FOUND);
    CHECK(store_remove(s, "../two", &freed) == HONE_ERR_ARGUMENT);
    store_close(s);
}

static void an_unreadable_manifest_keeps_all_blobs(void) {
    world_new_home();
    plant("one", "latest", SHA_A);
    world_write("models/bad/latest.json", "{");
    store *s = open_store();
    CHECK_OK(store_remove(s, "one", NULL));
    CHECK(world_exists("blobs/sha256-" SHA_A));
    store_close(s);
}

static bool resolves_to(const char *model, const char *expected) {
    char *path = NULL;
    hone_status status = store_resolve(model, &path);
    bool right = status == HONE_OK && strcmp(path, expected) == 0;
    if (!right) printf("%s: %s\n", model, status == HONE_OK ? path : hone_error_message());
    mem_free(path);
    return right;
}

static void models_are_names_or_paths(void) {
    world_new_home();
    plant("smollm2", "135m", SHA_A);
    plant("there", "latest", SHA_B);
    world_write("work/x.gguf", "GGUF");
    world_write("work/there/config.json", "{}");
    world_write("work/folder/config.json", "{}");
    char here[1000], blob_a[600], blob_b[600];
    snprintf(blob_a, sizeof blob_a, "%s", world_path("blobs/sha256-" SHA_A));
    snprintf(blob_b, sizeof blob_b, "%s", world_path("blobs/sha256-" SHA_B));
    if (!getcwd(here, sizeof here) || chdir(world_path("work")) != 0) SKIP("no current folder");
    CHECK(resolves_to("smollm2:135m", blob_a));
    CHECK(resolves_to("SmolLM2", blob_a)); /* the catalogue's alias */
    CHECK(resolves_to("x.gguf", "x.gguf"));
    CHECK(resolves_to("./x.gguf", "./x.gguf"));
    CHECK(resolves_to("folder", "folder"));
    CHECK(resolves_to("there", blob_b)); /* names come first … */
    CHECK(resolves_to("./there", "./there")); /* … unless it is clearly a path */
    char *path;
    CHECK(store_resolve("./missing.gguf", &path) == HONE_ERR_NOT_FOUND);
    CHECK(strstr(hone_error_message(), "No such file"));
    CHECK(store_resolve("nobody", &path) == HONE_ERR_NOT_FOUND);
    CHECK(strstr(hone_error_message(), "hone list"));
    CHECK(store_resolve("hf:a/b#c.gguf", &path) == HONE_ERR_NOT_FOUND);
    CHECK(strstr(hone_error_message(), "hone pull"));
    store *s = open_store();
    CHECK_OK(store_remove(s, "smollm2", NULL));
    store_close(s);
    CHECK(store_resolve("smollm2", &path) == HONE_ERR_NOT_FOUND);
    CHECK(strstr(hone_error_message(), "`hone pull smollm2:135m` fetches it (98 MB)"));
    CHECK(chdir(here) == 0);
}

static void each_failed_allocation_is_an_error(void) {
    world_new_home();
    plant("one", "latest", SHA_A);
    plant("two", "latest", SHA_B);
    hone_status status = HONE_ERR_MEMORY;
    for (long n = 1; status != HONE_OK && n < 500; n++) {
        store *s;
        store_listing listing;
        mem_fail_from(n);
        status = store_open(&s, NULL);
        if (status == HONE_OK) {
            status = store_list(s, false, &listing);
            if (status == HONE_OK) store_listing_release(&listing);
            store_close(s);
        }
        mem_fail_from(0);
        CHECK_MSG(status == HONE_OK || status == HONE_ERR_MEMORY, "%ld: %s", n,
                  hone_error_message());
    }
    CHECK(status == HONE_OK);
}

/* --- base --- */

static void sha256_is_sha256(void) {
    sha256_hex hex;
    CHECK_OK(sha256_of_text(&hex, "abc")); /* FIPS 180-4's example */
    CHECK(!strcmp(hex.text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    world_write("abc", "abc");
    sha256_hex of_file;
    CHECK_OK(sha256_of_file(&of_file, world_path("abc"), NULL, NULL));
    CHECK(!strcmp(hex.text, of_file.text));
    CHECK(sha256_of_file(&of_file, world_path("missing"), NULL, NULL) == HONE_ERR_NOT_FOUND);
}

static bool never_again(void *context) {
    ++*(int *)context;
    return false;
}

static void a_lock_is_held_by_one(void) {
    fs_lock lock, other;
    int asked = 0;
    char path[300];
    snprintf(path, sizeof path, "%s", world_path("some.lock"));
    CHECK_OK(fs_lock_take(&lock, path, NULL, NULL));
    CHECK(fs_lock_take(&other, path, never_again, &asked) == HONE_ERR_CANCELLED && asked == 1);
    fs_lock_release(&lock, true);
    CHECK(!world_exists("some.lock"));
    CHECK_OK(fs_lock_take(&other, path, never_again, &asked));
    fs_lock_release(&other, false);
}

static void a_lock_ends_with_its_process(void) {
    fs_lock lock;
    char path[300];
    int asked = 0;
    snprintf(path, sizeof path, "%s", world_path("some.lock"));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (fs_lock_take(&lock, path, NULL, NULL) == HONE_OK) kill(getpid(), SIGKILL);
        _exit(1);
    }
    int how = 0;
    waitpid(pid, &how, 0);
    CHECK(WIFSIGNALED(how));
    CHECK_OK(fs_lock_take(&lock, path, never_again, &asked));
    fs_lock_release(&lock, true);
}

static void removing_a_tree_follows_no_links(void) {
    world_new_home();
    world_write("kept/file", "x");
    world_write("tree/deep/er/file", "x");
    char target[300];
    snprintf(target, sizeof target, "%s", world_path("kept"));
    CHECK(symlink(target, world_path("tree/link")) == 0);
    CHECK_OK(fs_remove_tree(world_path("tree")));
    CHECK(!world_exists("tree") && world_exists("kept/file"));
    CHECK_OK(fs_remove_tree(world_path("tree")));
}

/* --- made from parts --- */

static void a_blob_appears_when_its_hash_is_right(void) {
    world_new_home();
    store *s = open_store();
    store_blob *b = NULL;
    sha256_hex sha;
    uint64_t bytes = 0;
    CHECK_OK(sha256_of_text(&sha, "right"));
    CHECK_OK(store_blob_open(&b, s, &sha));
    CHECK_OK(store_blob_write(b, "wrong", 5));
    CHECK(store_blob_commit(b) == HONE_ERR_FORMAT);
    store_blob_close(b);
    CHECK(!store_has_blob(s, &sha, NULL));
    for (int twice = 0; twice < 2; twice++) {
        CHECK_OK(store_blob_open(&b, s, &sha));
        CHECK_OK(store_blob_write(b, "ri", 2));
        CHECK(twice || !store_has_blob(s, &sha, NULL));
        CHECK_OK(store_blob_write(b, "ght", 3));
        CHECK_OK(store_blob_commit(b));
        store_blob_close(b);
        CHECK(store_has_blob(s, &sha, &bytes) && bytes == 5);
    }
    CHECK(store_blob_open(&b, s, &(sha256_hex){"../x"}) == HONE_ERR_ARGUMENT);
    CHECK(!store_has_blob(s, &(sha256_hex){"../x"}, NULL));
    store_close(s);
}

static void a_defined_name_replaces_another(void) {
    world_new_home();
    plant("mine", "latest", SHA_A);
    store *s = open_store();
    manifest_file file = {.role = "model", .name = "y.gguf"};
    manifest m = {.files = &file, .n_files = 1};
    store_entry entry;
    CHECK_OK(model_name_parse(&m.name, "mine"));
    CHECK_OK(store_add_text(s, "GGUF", 4, &file));
    CHECK(file.bytes == 4);
    CHECK_OK(store_define(s, &m));
    CHECK_OK(store_find(s, "mine", &entry));
    CHECK(!strcmp(entry.manifest.files[0].sha256.text, file.sha256.text) && entry.bytes == 4);
    manifest_release(&entry.manifest);
    strcpy(file.sha256.text, SHA_B); /* a blob that is not there */
    CHECK(store_define(s, &m) == HONE_ERR_IO);
    CHECK_OK(store_find(s, "mine", &entry));
    manifest_release(&entry.manifest);
    store_close(s);
}

static void a_scratch_folder_is_left_alone_while_it_is_open(void) {
    world_new_home();
    store *s = open_store();
    store_scratch scratch;
    sha256_hex sha;
    manifest_file file = {.role = "model"};
    CHECK_OK(store_scratch_open(&scratch, s));
    CHECK_OK(store_add_text(s, "a part of it", 12, &file));
    CHECK_OK(store_prune(s, false, NULL, NULL));
    CHECK(access(scratch.folder.text, F_OK) == 0 && store_has_blob(s, &file.sha256, NULL));
    CHECK_OK(sha256_of_text(&sha, "GGUF"));
    fs_path path;
    CHECK_OK(fs_path_format(&path, "%s/new.gguf", scratch.folder.text));
    CHECK_OK(fs_write_file(path.text, "GGUF", 4));
    CHECK_OK(store_add_file(s, path.text, &file));
    CHECK(!strcmp(file.sha256.text, sha.text) && file.bytes == 4);
    store_scratch_close(&scratch);
    CHECK(!world_exists("partial/new.gguf") && store_has_blob(s, &sha, NULL));
    CHECK_OK(store_prune(s, false, NULL, NULL));
    CHECK(!store_has_blob(s, &sha, NULL));
    store_close(s);
}

int main(void) {
    world_new_home();
    RUN(names_get_a_tag);
    RUN(names_cannot_leave_the_store);
    RUN(folders_follow_hone_home_then_xdg);
    RUN(the_catalogue_holds_together);
    RUN(own_entries_come_first);
    RUN(mistakes_in_own_entries_are_told_with_their_line);
    RUN(sources_are_taken_apart);
    RUN(bad_sources_are_refused);
    RUN(models_are_named_after_their_sources);
    RUN(quantisations_are_read_from_names);
    RUN(good_manifests_are_read);
    RUN(bad_manifests_are_refused);
    RUN(a_written_manifest_reads_back);
    RUN(an_empty_store_needs_no_folder);
    RUN(the_list_is_sorted_and_counts_blobs_once);
    RUN(what_is_broken_is_listed_with_its_problem);
    RUN(removing_keeps_what_another_name_needs);
    RUN(an_unreadable_manifest_keeps_all_blobs);
    RUN(models_are_names_or_paths);
    RUN(each_failed_allocation_is_an_error);
    RUN(sha256_is_sha256);
    RUN(a_lock_is_held_by_one);
    RUN(a_lock_ends_with_its_process);
    RUN(removing_a_tree_follows_no_links);
    RUN(a_blob_appears_when_its_hash_is_right);
    RUN(a_defined_name_replaces_another);
    RUN(a_scratch_folder_is_left_alone_while_it_is_open);
    world_end();
    return test_summary();
}
