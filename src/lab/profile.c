#include "lab/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "lab/results.h"
#include "weights/paths.h"
#include "weights/store.h"

enum { MAX_PROFILE_BYTES = 1 << 16, VERSION = 1 };

static const profile nothing = {-1, -1, -1, -1, -1, -1, -1, NAN, NAN, NAN, NAN, NAN, false};

bool profile_is_empty(const profile *p) {
    return p->n_threads < 0 && p->prefill_chunk < 0 && p->n_context < 0 && p->n_slots < 0 &&
           p->n_draft < 0 && p->kv < 0 && p->map < 0 && isnan(p->temperature) && isnan(p->top_p) &&
           isnan(p->top_k) && isnan(p->min_p) && isnan(p->repeat_penalty);
}

/* --- which file --- */

/* One name for each model, however it was typed. */
static hone_status find_name(const char *model, fs_path *name) {
    store *s;
    store_entry entry;
    char *path = NULL;
    if (model[0] != '/' && model[0] != '.' && store_open(&s, NULL) == HONE_OK) {
        bool found = store_find(s, model, &entry) == HONE_OK;
        store_close(s);
        if (found) {
            hone_status status = fs_path_format(name, "%s", entry.manifest.name.text);
            manifest_release(&entry.manifest);
            return status;
        }
    }
    TRY(store_resolve(model, &path));
    char *whole = realpath(path, NULL);
    hone_status status = fs_path_format(name, "%s", whole ? whole : path);
    free(whole);
    mem_free(path);
    return status;
}

/* What no file may be called is replaced; some digits of a hash keep such names apart. */
static hone_status find_file(const char *model, fs_path *name, fs_path *path) {
    fs_path folder;
    sha256_hex hex;
    char safe[81];
    size_t n = 0;
    TRY(find_name(model, name));
    TRY(paths_folder(&folder, PATHS_DATA));
    TRY(sha256_of_text(&hex, name->text));
    const char *slash = strrchr(name->text, '/'),
               *last = slash && slash[1] ? slash + 1 : name->text;
    for (const char *at = last; *at && n + 1 < sizeof safe; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     (*at >= '0' && *at <= '9') || (n > 0 && strchr("._-", *at));
        safe[n++] = plain ? *at : '_';
    }
    safe[n] = '\0';
    return fs_path_format(path, "%s/profiles/%s-%.8s.json", folder.text, safe, hex.text);
}

/* --- what it holds for --- */

static hone_status hash_model(const char *model, char hash[65]) {
    results *db;
    char *path;
    TRY(store_resolve(model, &path));
    hone_status status = results_open(&db, NULL);
    if (status == HONE_OK) {
        status = results_hash(db, path, hash, NULL, NULL);
        results_close(db);
    }
    mem_free(path);
    return status;
}

typedef struct present {
    machine_description machine;
    char build[RESULTS_MAX_BUILD], hash[65];
} present;

static hone_status look_at_machine(present *p) {
    results_describe_build(p->build, sizeof p->build);
    return machine_describe(&p->machine);
}

static bool is_text(const json_t *o, const char *key, const char *expected) {
    const char *text = json_string_value(json_object_get(o, key));
    return text && !strcmp(text, expected);
}

static hone_status check(const json_t *o, const char *model) {
    present now;
    if (json_integer_value(json_object_get(o, "version")) != VERSION)
        return fail(HONE_ERR_FORMAT, "it is of another version of hone");
    TRY(look_at_machine(&now));
    if (!is_text(o, "machine", now.machine.fingerprint))
        return fail(HONE_ERR_FORMAT, "the machine is another one");
    if (!is_text(o, "build", now.build)) return fail(HONE_ERR_FORMAT, "hone is another build");
    TRY(hash_model(model, now.hash)); /* last: the first time it reads the files */
    if (!is_text(o, "hash", now.hash))
        return fail(HONE_ERR_FORMAT, "the model's files have changed");
    return HONE_OK;
}

/* --- reading --- */

static const char *const kv_names[] = {"f16", "f32", "q8_0"}; /* by hone_kv_type */

static int whole(const json_t *o, const char *key, int low, int high) {
    const json_t *value = json_object_get(o, key);
    json_int_t n = json_integer_value(value);
    return json_is_integer(value) && n >= low && n <= high ? (int)n : -1;
}

static double real(const json_t *o, const char *key, double low, double high) {
    const json_t *value = json_object_get(o, key);
    double x = json_number_value(value);
    return json_is_number(value) && x >= low && x <= high ? x : NAN;
}

/* A file that somebody may have edited: what is out of range says nothing. */
static void take(profile *p, const json_t *o) {
    const json_t *e = json_object_get(o, "engine"), *s = json_object_get(o, "sampling");
    *p = (profile){
        .is_doubted = json_is_true(json_object_get(o, "doubted")),
        .n_threads = whole(e, "threads", 1, 1024),
        .prefill_chunk = whole(e, "prefill_chunk", 1, 1 << 16),
        .n_context = whole(e, "context", 1, 1 << 30), .n_slots = whole(e, "slots", 1, 256),
        .n_draft = whole(e, "draft_tokens", 0, HONE_MAX_DRAFT), .kv = -1,
        .map = json_is_false(json_object_get(e, "map")) ? 0 : -1,
        .temperature = real(s, "temperature", 0, 100), .top_p = real(s, "top_p", 0, 1),
        .top_k = real(s, "top_k", 0, 1 << 30), .min_p = real(s, "min_p", 0, 1),
        .repeat_penalty = real(s, "repeat_penalty", 0.01, 100)};
    for (int i = 0; i < 3; i++)
        if (is_text(e, "kv", kv_names[i])) p->kv = i;
}

profile_state profile_load(profile *out, const char *model) {
    fs_path name, path;
    json_t *o;
    *out = nothing;
    if (find_file(model, &name, &path) != HONE_OK ||
        json_parse_file(&o, path.text, MAX_PROFILE_BYTES) != HONE_OK)
        return PROFILE_NONE;
    hone_status status = check(o, model);
    if (status == HONE_OK) take(out, o);
    json_decref(o);
    return status == HONE_OK ? PROFILE_FRESH : PROFILE_STALE;
}

/* --- writing --- */

static json_t *number_of(tune_knob knob, double value) {
    if (knob == TUNE_WEIGHTS) return json_boolean(value == 0);
    if (knob == TUNE_KV) return json_string(kv_names[(int)value]);
    return value == floor(value) && knob < TUNE_TEMPERATURE ? json_integer((json_int_t)value)
                                                            : json_real(value);
}

static const struct {
    tune_knob knob;
    const char *key;
} engine_keys[] = {{TUNE_THREADS, "threads"}, {TUNE_SLOTS, "slots"}, {TUNE_CHUNK, "prefill_chunk"},
                   {TUNE_CONTEXT, "context"}, {TUNE_KV, "kv"}, {TUNE_DRAFT, "draft_tokens"},
                   {TUNE_WEIGHTS, "map"}},
  sampling_keys[] = {{TUNE_TEMPERATURE, "temperature"}, {TUNE_TOP_P, "top_p"},
                     {TUNE_TOP_K, "top_k"}, {TUNE_MIN_P, "min_p"},
                     {TUNE_REPEAT_PENALTY, "repeat_penalty"}};

static json_t *make_part(tune_goal goal, const tune_config *defaults, const tune_config *best) {
    bool quality = goal == TUNE_QUALITY;
    size_t n = quality ? sizeof sampling_keys / sizeof *sampling_keys
                       : sizeof engine_keys / sizeof *engine_keys;
    json_t *part = json_object();
    for (size_t i = 0; i < n; i++) {
        tune_knob knob = quality ? sampling_keys[i].knob : engine_keys[i].knob;
        double value = tune_get(best, knob);
        if (value == tune_get(defaults, knob)) continue;
        json_object_set_new(part, quality ? sampling_keys[i].key : engine_keys[i].key,
                            number_of(knob, value));
    }
    return part;
}

/* The other part of a profile that still holds; a reference, or NULL. */
static json_t *keep_part(const char *path, const char *model, const char *part) {
    json_t *before, *kept = NULL;
    if (json_parse_file(&before, path, MAX_PROFILE_BYTES) != HONE_OK) return NULL;
    if (check(before, model) == HONE_OK) kept = json_incref(json_object_get(before, part));
    json_decref(before);
    return kept;
}

static hone_status write_profile(const fs_path *path, json_t *o) {
    fs_path folder = *path;
    char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    if (!text) return mem_fail("a profile", 0);
    *strrchr(folder.text, '/') = '\0';
    hone_status status = fs_make_folders(folder.text);
    if (status == HONE_OK) status = fs_write_file(path->text, text, strlen(text));
    mem_free(text);
    return status;
}

hone_status profile_save(const char *model, tune_goal goal, const tune_config *defaults,
                         const tune_config *best, int64_t result, const validity *doubts,
                         fs_path *path) {
    present now;
    fs_path name;
    bool quality = goal == TUNE_QUALITY;
    bool doubted = validity_has(doubts, VALIDITY_DISTURBED) ||
                   validity_has(doubts, VALIDITY_THROTTLED) ||
                   validity_has(doubts, VALIDITY_SWAPPING);
    json_use_mem();
    TRY(find_file(model, &name, path));
    TRY(look_at_machine(&now));
    TRY(hash_model(model, now.hash));
    json_t *other = keep_part(path->text, model, quality ? "engine" : "sampling");
    json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:o, s:o}", "version", VERSION,
                          "model", name.text, "hash", now.hash, "machine",
                          now.machine.fingerprint, "build", now.build, "goal",
                          tune_goal_name(goal), "result", (json_int_t)result, "doubted", doubted,
                          quality ? "sampling" : "engine", make_part(goal, defaults, best),
                          quality ? "engine" : "sampling", other ? other : json_object());
    hone_status status = write_profile(path, o);
    json_decref(o);
    return status;
}
