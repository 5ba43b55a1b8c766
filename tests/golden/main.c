/* golden FOLDER…: compares hone with recorded reference outputs.
 *
 * A folder is a case folder (it holds golden.json) or a folder of case folders. Families that hone
 * does not have yet are skipped by name. Environment: HONE_TEST_MODELS is the folder in which the
 * files of real weights lie under their own names. */
#include <dirent.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "golden.h"
#include "test.h"

const float *golden_floats(const golden *g, const char *name, size_t index) {
    char full[64];
    snprintf(full, sizeof full, "%s.%zu", name, index);
    const safetensors_entry *entry = safetensors_find(g->tensors, full);
    CHECK_MSG(entry && entry->view.type == DTYPE_F32, "%s: no tensor %s", g->folder, full);
    return entry && entry->view.type == DTYPE_F32 ? entry->view.data : NULL;
}

int32_t *golden_ids(const json_t *array, size_t *n) {
    *n = json_array_size(array);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    for (size_t i = 0; i < *n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

double largest_difference(const float *a, const float *b, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= largest)) largest = isnan(difference) ? INFINITY : difference;
    }
    return largest;
}

static const struct {
    const char *kind;
    void (*check)(const golden *g);
} kinds[] = {
    {"causal_lm_real", check_real_model},
    {"causal_lm", check_language_model},
    {"quant", check_quant},
    {"mel", check_mel},
    {"whisper", check_whisper},
    {"whisper_real", check_real_whisper},
    {"lora", check_lora},
};

static void skip(const char *folder, const char *kind, const char *reason) {
    printf("skipped %s: %s %s\n", folder, kind, reason);
    test_skipped++;
}

static void run_case(const char *folder) {
    golden g = {.folder = folder};
    char path[4096];
    const char *kind = "", *arch = "";
    snprintf(path, sizeof path, "%s/golden.json", folder);
    json_error_t error; /* texts of the tokenizer cases hold U+0000, which json_parse refuses */
    g.json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!g.json) {
        printf("FAILED %s: %s\n", path, error.text);
        test_failed++;
        return;
    }
    json_get_string(g.json, "kind", &kind);
    json_get_string(g.json, "arch", &arch);
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    size_t i = 0, n = sizeof kinds / sizeof *kinds;
    while (i < n && strcmp(kinds[i].kind, kind) != 0) i++;
    bool built = strcmp(kind, "causal_lm") != 0 || !strcmp(arch, "llama") || !strcmp(arch, "qwen2");
    if (i == n || !built) {
        skip(folder, *arch ? arch : *kind ? kind : "this family", "is not built yet");
    } else if (CHECK_OK(safetensors_open(&g.tensors, path))) {
        printf("--- %s\n", folder);
        kinds[i].check(&g);
    } else {
        test_failed++;
    }
    safetensors_close(g.tensors);
    json_decref(g.json);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run_folder(const char *folder) {
    char path[4096], *names[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/golden.json", folder);
    if (stat(path, &st) == 0) {
        run_case(folder);
        return;
    }
    size_t n = 0;
    DIR *dir = opendir(folder);
    if (!dir) {
        printf("%s: no such folder\n", folder);
        test_failed++;
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) && n < 1024;) {
        snprintf(path, sizeof path, "%s/%s/golden.json", folder, entry->d_name);
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) continue;
        names[n++] = strdup(path);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/golden.json", names[i]);
        if (stat(path, &st) == 0)
            run_case(names[i]);
#ifndef HONE_ENGINE_ONLY
        else if (!strcmp(strrchr(names[i], '/') + 1, "smollm2-choice"))
            check_choices(names[i]);
#endif
        else
            skip(names[i], "folder without golden.json", "is no case");
        free(names[i]);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: golden FOLDER…\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) run_folder(argv[i]);
    return test_summary();
}
