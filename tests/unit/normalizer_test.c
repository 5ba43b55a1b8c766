/* Whisper's normaliser against recorded pairs; word error rates. */
#include "base/json.h"
#include "test.h"
#include "text/whisper_normalizer.h"
#include "text/word_errors.h"

static void check_pair(const json_t *pair, const json_t *spelling, int row) {
    const char *kind = json_string_value(json_object_get(pair, "kind"));
    const char *raw = json_string_value(json_object_get(pair, "raw"));
    const char *want = json_string_value(json_object_get(pair, "normalized"));
    buf out;
    buf_init(&out, 1 << 20);
    bool english = !strcmp(kind, "english");
    CHECK_OK(english ? whisper_normalise_english(&out, raw, strlen(raw), spelling)
                     : whisper_normalise_basic(&out, raw, strlen(raw), strstr(kind, "diacritics"),
                                               strstr(kind, "letters")));
    const char *have = out.data ? out.data : "";
    CHECK_MSG(!strcmp(have, want), "row %d: \"%s\": \"%s\", expected \"%s\"", row, raw, have, want);
    buf_release(&out);
}

/* Rows that only the map of spellings explains. */
static bool needs_map(int row) {
    return row == 2 || row == 27 || (row >= 77 && row <= 81) || row == 112;
}

static json_t *read_map(void) {
    const char *path = getenv("HONE_SPELLINGS"); /* english.json of the published normaliser */
    json_t *map = NULL;
    if (path && json_parse_file(&map, path, 1 << 20) != HONE_OK) return NULL;
    return map;
}

static void recorded_pairs_are_equal(void) {
    char path[4096], line[65536];
    if (!test_shared()) SKIP("no reference data");
    snprintf(path, sizeof path, "%s/data/vectors/whisper_normalizer.jsonl", test_shared());
    FILE *in = fopen(path, "r");
    if (!in) SKIP("%s is missing", path);
    json_t *spelling = read_map();
    int row = 0, n = 0;
    while (fgets(line, sizeof line, in)) {
        json_t *pair = NULL;
        row++;
        if (!CHECK_OK(json_parse(&pair, line, strlen(line), path))) break;
        if (spelling || !needs_map(row)) {
            check_pair(pair, spelling, row);
            n++;
        }
        json_decref(pair);
    }
    printf("%d of %d pairs%s\n", n, row, spelling ? "" : ", the map of spellings is not there");
    CHECK(n > 150);
    json_decref(spelling);
    fclose(in);
}

static void spellings_are_mapped(void) {
    json_t *map = NULL;
    static const char json[] = "{\"harbour\": \"harbor\", \"litres\": \"liters\"}";
    if (!CHECK_OK(json_parse(&map, json, strlen(json), "map"))) return;
    buf out;
    buf_init(&out, 1 << 20);
    const char *raw = "Two litres in the Harbour!";
    CHECK_OK(whisper_normalise_english(&out, raw, strlen(raw), map));
    CHECK_MSG(!strcmp(out.data, "2 liters in the harbor"), "\"%s\"", out.data);
    buf_release(&out);
    json_decref(map);
}

static void strange_texts_do_no_harm(void) {
    static const char *const texts[] = {"", " ", "\xff", "and a half", "two and a half and a half",
        "decillion decillion decillion million", "point point point", "double", "triple triple",
        "per cent per", "minus", "$", "$0", "$0.", "1.2.3.4", "¢", "one point one million point",
        "99999999999999999999999999999999999999999999 thousand", "o o o o hundred"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf out;
        buf_init(&out, 1 << 20);
        hone_status status = whisper_normalise_english(&out, texts[i], strlen(texts[i]), NULL);
        CHECK(status == (texts[i][0] == '\xff' ? HONE_ERR_FORMAT : HONE_OK));
        whisper_normalise_basic(&out, texts[i], strlen(texts[i]), true, true);
        buf_release(&out);
    }
}

static void word_errors_are_counted(void) {
    word_errors e[2] = {{0}};
    CHECK_OK(word_errors_count(&e[0], "the cat sat on the mat", "the cat sit on mat"));
    CHECK(e[0].n_errors == 2 && e[0].n_words == 6);
    CHECK_OK(word_errors_count(&e[1], "hello world", "hello big world"));
    CHECK(e[1].n_errors == 1 && e[1].n_words == 2);
    CHECK_OK(word_errors_count(&e[0], "", "  noise  "));
    CHECK(e[0].n_errors == 1 && e[0].n_words == 0);
    CHECK_OK(word_errors_count(&e[0], " a b ", ""));
    CHECK(e[0].n_errors == 2 && e[0].n_words == 2);
}

int main(void) {
    RUN(recorded_pairs_are_equal);
    RUN(spellings_are_mapped);
    RUN(strange_texts_do_no_harm);
    RUN(word_errors_are_counted);
    return test_summary();
}
