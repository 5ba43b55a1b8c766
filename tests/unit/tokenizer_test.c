/* Tokenizers: recorded ids of the reference folders, what user text may not do, limits. */
#include <limits.h>
#include <pthread.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf.h"
#include "format/tokenizer_spec.h"
#include "test.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* --- help --- */

static tokenizer *open_folder(const char *folder, tokenizer_spec *spec) {
    char path[PATH_MAX];
    tokenizer *t = NULL;
    *spec = (tokenizer_spec){0};
    snprintf(path, sizeof path, "%s/%s", test_shared(), folder);
    if (CHECK_OK(tokenizer_spec_from_folder(spec, path))) CHECK_OK(tokenizer_open(&t, spec));
    if (!t) exit(test_summary()); /* nothing below makes sense */
    return t;
}

static token_list encode(const tokenizer *t, const char *text, size_t n, bool control,
                         unsigned flags) {
    token_list ids = {0};
    text_span all = {0, n};
    CHECK_OK(tokenizer_encode(t, text, n, &all, control, flags, &ids));
    return ids;
}

static bool same_ids(const token_list *ids, const json_t *expected) {
    if (ids->n != json_array_size(expected)) return false;
    for (size_t i = 0; i < ids->n; i++)
        if (ids->ids[i] != json_integer_value(json_array_get(expected, i))) return false;
    return true;
}

static void check_encoding(const tokenizer *t, const char *folder, const json_t *text,
                           const json_t *expected, unsigned flags) {
    const char *bytes = json_string_value(text);
    token_list ids = encode(t, bytes, json_string_length(text), true, flags);
    CHECK_MSG(same_ids(&ids, expected), "%s: \"%s\" (%zu ids, expected %zu)", folder, bytes, ids.n,
              json_array_size(expected));
    token_list_release(&ids);
}

/* The recorded text holds U+FFFD where bytes are not UTF-8; such rows are not compared. */
static void check_decoding(const tokenizer *t, const char *folder, const json_t *row) {
    const json_t *recorded = json_object_get(row, "decoded"), *list = json_object_get(row, "ids");
    int32_t ids[4096];
    size_t n = json_array_size(list), bytes = 0;
    char *text = NULL;
    if (!recorded || n > 4096) return;
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    CHECK_OK(tokenizer_decode(t, ids, n, false, &text, &bytes));
    if (utf8_is_valid(text, bytes))
        CHECK_MSG(bytes == json_string_length(recorded) &&
                      memcmp(text, json_string_value(recorded), bytes) == 0,
                  "%s: \"%s\", expected \"%s\"", folder, text, json_string_value(recorded));
    mem_free(text);
}

/* --- the reference folders --- */

static const char *const folders[] = {"qwen2-untied", "qwen2-tied", "llama3-rope",
                                      "llama-spm",    "llama-smol", "deepseek2"};
enum { N_FOLDERS = sizeof folders / sizeof *folders };

static void check_folder(const char *name) {
    char folder[PATH_MAX], path[PATH_MAX];
    json_t *golden = NULL, *row;
    tokenizer_spec spec;
    size_t i;
    snprintf(folder, sizeof folder, "golden/%s", name);
    snprintf(path, sizeof path, "%s/golden/%s/golden.json", test_shared(), name);
    tokenizer *t = open_folder(folder, &spec);
    /* decoded texts hold U+0000, which json_parse refuses */
    golden = json_load_file(path, JSON_ALLOW_NUL, NULL);
    CHECK_MSG(golden, "%s", path);
    if (t && golden) {
        json_array_foreach(json_object_get(golden, "tokenizer"), i, row) {
            const json_t *text = json_object_get(row, "text");
            check_encoding(t, name, text, json_object_get(row, "ids"), 0);
            check_encoding(t, name, text, json_object_get(row, "ids_with_special"),
                           ENCODE_ADD_SPECIAL);
            check_decoding(t, name, row);
        }
        CHECK(i > 0);
        json_array_foreach(json_object_get(golden, "cases"), i, row) {
            bool special = json_is_true(json_object_get(row, "add_special_tokens"));
            check_encoding(t, name, json_object_get(row, "prompt"), json_object_get(row, "ids"),
                           special ? ENCODE_ADD_SPECIAL : 0);
        }
        CHECK(i > 0);
        json_array_foreach(json_object_get(golden, "chat"), i, row)
            check_encoding(t, name, json_object_get(row, "rendered"), json_object_get(row, "ids"),
                           0);
    }
    json_decref(golden);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

static void reference_folders_give_the_recorded_ids(void) {
    if (!test_shared()) SKIP("no reference data");
    for (size_t i = 0; i < N_FOLDERS; i++) check_folder(folders[i]);
}

static void every_token_list_ends_a_turn_where_its_files_say(void) {
    if (!test_shared()) SKIP("no reference data");
    tokenizer_spec spec;
    tokenizer *t = open_folder("golden/llama3-rope", &spec);
    CHECK(tokenizer_is_stop(t, 1020) && tokenizer_is_stop(t, 1023) && !tokenizer_is_stop(t, 1019));
    CHECK(tokenizer_bos(t) == 1019 && tokenizer_adds_bos(t));
    CHECK(spec.chat_template && strstr(spec.chat_template, "<|start_header_id|>"));
    tokenizer_close(t);
    tokenizer_spec_release(&spec);

    t = open_folder("golden/qwen2-tied", &spec);
    CHECK(tokenizer_is_stop(t, 997) && tokenizer_is_stop(t, 995) && !tokenizer_is_stop(t, 996));
    CHECK(!tokenizer_adds_bos(t));
    CHECK(spec.chat_template && strncmp(spec.chat_template, "{% for message", 14) == 0);
    CHECK(tokenizer_type_of(t, 997) == TOKEN_CONTROL);
    CHECK(tokenizer_type_of(t, 998) == TOKEN_USER_DEFINED);
    CHECK(tokenizer_find(t, "<|im_end|>", 10) == 997);
    CHECK(tokenizer_find(t, "<tool_call>", 11) == 998);
    CHECK(tokenizer_find(t, "no such token", 13) == -1);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

static void folders_with_other_parts_are_refused_by_name(void) {
    if (!test_shared()) SKIP("no reference data");
    char path[PATH_MAX];
    tokenizer_spec spec;
    snprintf(path, sizeof path, "%s/golden/blip-caption", test_shared());
    CHECK(tokenizer_spec_from_folder(&spec, path) == HONE_ERR_UNSUPPORTED);
    CHECK(strstr(hone_error_message(), "WordPiece"));
    snprintf(path, sizeof path, "%s/golden/no-such-folder", test_shared());
    CHECK(tokenizer_spec_from_folder(&spec, path) == HONE_ERR_NOT_FOUND);
}

static void opt_whisper_and_vl2_folders_open(void) {
    if (!test_shared()) SKIP("no reference data");
    static const char *const more[] = {"golden/blip2-opt", "golden/whisper-en",
                                       "golden/whisper-multilingual", "golden/vl2"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        tokenizer_spec spec;
        tokenizer *t = open_folder(more[i], &spec);
        CHECK(t && tokenizer_size(t) > 600);
        tokenizer_close(t);
        tokenizer_spec_release(&spec);
    }
    tokenizer_spec spec;
    tokenizer *t = open_folder("golden/blip2-opt", &spec);
    token_list ids = encode(t, "Question: What is on the table? Answer:", 39, false,
                            ENCODE_ADD_SPECIAL);
    static const int32_t expected[] = {2,   53,  89,  457, 350, 30,  553, 510, 370,
                                       317, 266, 596, 449, 35,  496, 839, 272, 30};
    CHECK(ids.n == 18 && memcmp(ids.ids, expected, sizeof expected) == 0);
    token_list_release(&ids);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

static void tinystories_gives_the_recorded_prompt(void) {
    if (!test_shared()) SKIP("no reference data");
    static const int32_t expected[] = {1, 80, 147, 201, 282, 57};
    tokenizer_spec spec;
    tokenizer *t = open_folder("models/tinystories-656k", &spec);
    token_list ids = encode(t, "Once upon a time", 16, false, ENCODE_ADD_SPECIAL);
    CHECK(ids.n == 6 && memcmp(ids.ids, expected, sizeof expected) == 0);
    char *text = NULL;
    size_t n = 0;
    CHECK_OK(tokenizer_decode(t, ids.ids, ids.n, false, &text, &n));
    CHECK(n == 16 && memcmp(text, "Once upon a time", 16) == 0);
    mem_free(text);
    token_list_release(&ids);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

static void stories260k_gives_the_recorded_prompt(void) {
    if (!test_shared()) SKIP("no reference data");
    static const int32_t expected[] = {1, 403, 407, 261, 378};
    char path[PATH_MAX];
    gguf *file = NULL;
    tokenizer_spec spec = {0};
    tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s/models/stories260K.gguf", test_shared());
    CHECK_OK(gguf_open(&file, path));
    CHECK_OK(tokenizer_spec_from_gguf(&spec, file, "stories260K"));
    CHECK_OK(tokenizer_open(&t, &spec));
    tokenizer_spec_release(&spec);
    token_list ids = encode(t, "Once upon a time", 16, false, ENCODE_ADD_SPECIAL);
    CHECK(ids.n == 5 && memcmp(ids.ids, expected, sizeof expected) == 0);
    const char *piece;
    size_t n;
    CHECK(tokenizer_piece(t, 512, false, &piece, &n) == HONE_ERR_ARGUMENT);
    CHECK(tokenizer_piece(t, -1, false, &piece, &n) == HONE_ERR_ARGUMENT);
    token_list_release(&ids);
    tokenizer_close(t);
    gguf_close(file);
}

/* --- what users write --- */

static void user_text_never_becomes_a_control_token(void) {
    if (!test_shared()) SKIP("no reference data");
    static const char text[] = "<|im_end|> </s> <|eot_id|> <s> <unk> <|endoftext|> "
                               "<|begin_of_text|> <｜begin▁of▁sentence｜> <|im_start|>system";
    char folder[PATH_MAX];
    for (size_t f = 0; f < N_FOLDERS; f++) {
        tokenizer_spec spec;
        snprintf(folder, sizeof folder, "golden/%s", folders[f]);
        tokenizer *t = open_folder(folder, &spec);
        token_list ids = encode(t, text, sizeof text - 1, false, 0);
        for (size_t i = 0; i < ids.n; i++) {
            token_type type = tokenizer_type_of(t, ids.ids[i]);
            CHECK_MSG(type == TOKEN_NORMAL || type == TOKEN_BYTE, "%s: id %d", folders[f],
                      ids.ids[i]);
        }
        char *back = NULL;
        size_t n = 0;
        CHECK_OK(tokenizer_decode(t, ids.ids, ids.n, false, &back, &n));
        /* SentencePiece does not tell ▁ from a space */
        if (strcmp(folders[f], "llama-spm") != 0)
            CHECK_MSG(n == sizeof text - 1 && memcmp(back, text, n) == 0, "%s", folders[f]);
        mem_free(back);
        token_list_release(&ids);
        tokenizer_close(t);
        tokenizer_spec_release(&spec);
    }
}

static size_t count_id(const token_list *ids, int32_t id) {
    size_t count = 0;
    for (size_t i = 0; i < ids->n; i++) count += ids->ids[i] == id;
    return count;
}

static void control_tokens_match_only_inside_spans(void) {
    if (!test_shared()) SKIP("no reference data");
    static const char text[] = "<|im_end|>x<|im_end|><|im_end|><tool_call>";
    tokenizer_spec spec;
    tokenizer *t = open_folder("golden/qwen2-tied", &spec);
    token_list ids = {0};
    text_span spans[] = {{0, 9}, {11, 21}, {25, 30}}; /* the first and last cut a token short */
    CHECK_OK(tokenizer_encode(t, text, sizeof text - 1, spans, 3, 0, &ids));
    CHECK(count_id(&ids, 997) == 1);
    CHECK(count_id(&ids, 998) == 1); /* user-defined: anywhere */
    ids.n = 0;
    text_span two[] = {{0, 11}, {11, 21}};
    CHECK_OK(tokenizer_encode(t, text, sizeof text - 1, two, 2, 0, &ids));
    CHECK(count_id(&ids, 997) == 2);

    /* spans that hold no token do not cut the text */
    token_list plain = encode(t, "standard", 8, false, 0);
    text_span middle = {2, 5};
    ids.n = 0;
    CHECK_OK(tokenizer_encode(t, "standard", 8, &middle, 1, 0, &ids));
    CHECK(ids.n == plain.n && memcmp(ids.ids, plain.ids, ids.n * sizeof *ids.ids) == 0);

    text_span crossed[] = {{4, 6}, {2, 3}}, outside[] = {{4, 9}};
    CHECK(tokenizer_encode(t, "standard", 8, crossed, 2, 0, &ids) == HONE_ERR_ARGUMENT);
    CHECK(tokenizer_encode(t, "standard", 8, outside, 1, 0, &ids) == HONE_ERR_ARGUMENT);
    token_list_release(&plain);
    token_list_release(&ids);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

static void invalid_utf8_is_refused_and_leaves_the_list(void) {
    if (!test_shared()) SKIP("no reference data");
    static const char *const bad[] = {"abc\xFF", "abc\xC3", "abc\xED\xA0\x80", "abc\xC0\x80",
                                      "abc\xF5\x80\x80\x80", "abc\xE2\x82"};
    tokenizer_spec spec;
    tokenizer *t = open_folder("golden/qwen2-tied", &spec);
    token_list ids = encode(t, "some text", 9, false, 0);
    size_t n = ids.n;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(tokenizer_encode(t, bad[i], strlen(bad[i]), NULL, 0, 0, &ids) == HONE_ERR_FORMAT);
        CHECK(ids.n == n && strstr(hone_error_message(), "byte 3"));
    }
    token_list_release(&ids);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

static void pieces_join_to_the_decoded_text(void) {
    if (!test_shared()) SKIP("no reference data");
    static const char text[] = "naïve 👍🏽 你好\n\n\tx = 1234567;  ";
    for (size_t f = 0; f < N_FOLDERS; f++) {
        char folder[PATH_MAX], joined[512];
        size_t n = 0, piece_n, all_n;
        const char *piece;
        char *all;
        tokenizer_spec spec;
        snprintf(folder, sizeof folder, "golden/%s", folders[f]);
        tokenizer *t = open_folder(folder, &spec);
        token_list ids = encode(t, text, sizeof text - 1, false, 0);
        for (size_t i = 0; i < ids.n; i++) {
            CHECK_OK(tokenizer_piece(t, ids.ids[i], false, &piece, &piece_n));
            memcpy(joined + n, piece, piece_n);
            n += piece_n;
        }
        bool drop = tokenizer_drops_first_space(t);
        CHECK_OK(tokenizer_decode(t, ids.ids, ids.n, false, &all, &all_n));
        CHECK(n == all_n + drop && memcmp(joined + drop, all, all_n) == 0);
        CHECK_MSG(all_n == sizeof text - 1 && memcmp(all, text, all_n) == 0, "%s", folders[f]);
        mem_free(all);
        token_list_release(&ids);
        tokenizer_close(t);
        tokenizer_spec_release(&spec);
    }
}

static const char shared_text[] = "as to the possibility of Pierre's soldiers, 1234 others\n";

static void *encode_often(void *user) {
    const tokenizer *t = user;
    size_t n = 0;
    for (int i = 0; i < 200; i++) {
        token_list ids = encode(t, shared_text, sizeof shared_text - 1, false, 0);
        n = ids.n;
        token_list_release(&ids);
    }
    return (void *)n;
}

static void threads_share_a_tokenizer(void) {
    if (!test_shared()) SKIP("no reference data");
    tokenizer_spec spec;
    tokenizer *t = open_folder("golden/qwen2-tied", &spec);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, encode_often, t) == 0);
    void *expected = encode_often(t), *found;
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], &found) == 0);
        CHECK(found == expected);
    }
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
}

/* --- work and memory --- */

/* Merges of "aa", "aaaa", … make the heap work hardest. */
static uint64_t steps_for(size_t n) {
    bpe_merges merges;
    bpe_work work = {0};
    CHECK_OK(bpe_merges_init(&merges, 8, 1));
    for (uint32_t k = 0; k < 8; k++) bpe_merges_add(&merges, k, k, k, k + 1);
    CHECK_OK(bpe_work_reserve(&work, n));
    for (size_t i = 0; i < n; i++) work.symbols[i] = (bpe_symbol){.id = 0, .at = (uint32_t)i};
    work.n = n;
    CHECK_OK(bpe_run(&merges, &work));
    CHECK(work.n == n / 256 + (size_t)__builtin_popcountll(n % 256));
    uint64_t steps = work.steps;
    bpe_work_release(&work);
    bpe_merges_release(&merges);
    return steps;
}

static void long_pieces_take_n_log_n_steps(void) {
    uint64_t small = steps_for(10000), large = steps_for(1000000);
    CHECK_MSG(large < small * 100 * 3, "%llu steps for 10,000 symbols, %llu for 1,000,000",
              (unsigned long long)small, (unsigned long long)large);
    CHECK(large < 1000000ull * 60);
}

static void a_megabyte_of_one_letter_round_trips(void) {
    if (!test_shared()) SKIP("no reference data");
    enum { N = 1 << 20 };
    char *text = mem_alloc(N), *back = NULL;
    memset(text, 'a', N);
    for (size_t f = 0; f < N_FOLDERS; f++) {
        char folder[PATH_MAX];
        size_t n = 0;
        tokenizer_spec spec;
        snprintf(folder, sizeof folder, "golden/%s", folders[f]);
        tokenizer *t = open_folder(folder, &spec);
        token_list ids = encode(t, text, N, false, 0);
        CHECK_OK(tokenizer_decode(t, ids.ids, ids.n, false, &back, &n));
        CHECK(n == N && memcmp(back, text, N) == 0);
        mem_free(back);
        token_list_release(&ids);
        tokenizer_close(t);
        tokenizer_spec_release(&spec);
    }
    mem_free(text);
}

/* Short and long pieces run different code; the result may not depend on which. */
static void short_and_long_pieces_merge_alike(void) {
    enum { SYMBOLS = 6, RULES = 20, MAX_N = 48 };
    uint64_t random = 88172645463325252u;
    printf("seed %llu\n", (unsigned long long)random);
    for (int round = 0; round < 2000; round++) {
        bpe_merges merges;
        bpe_work a = {0}, b = {0};
        CHECK_OK(bpe_merges_init(&merges, RULES, 12345));
        uint32_t known = SYMBOLS;
        for (uint32_t k = 0; k < RULES; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            /* equal ranks occur: SentencePiece has equal scores */
            bpe_merges_add(&merges, random % known, (random >> 20) % known, k / 3, known);
            known++;
        }
        size_t n = 1 + (random >> 40) % MAX_N;
        CHECK_OK(bpe_work_reserve(&a, n));
        CHECK_OK(bpe_work_reserve(&b, n + MAX_N));
        for (size_t i = 0; i < n + MAX_N; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            /* the long one ends in symbols that merge with nothing */
            bpe_symbol s = {.id = i < n ? random % SYMBOLS : BPE_NONE, .at = (uint32_t)i};
            b.symbols[i] = s;
            if (i < n) a.symbols[i] = s;
        }
        a.n = n;
        b.n = n + MAX_N;
        CHECK_OK(bpe_run(&merges, &a));
        CHECK_OK(bpe_run(&merges, &b));
        CHECK(b.n == a.n + MAX_N);
        for (size_t i = 0; i < a.n; i++)
            CHECK(a.symbols[i].id == b.symbols[i].id && a.symbols[i].at == b.symbols[i].at);
        bpe_work_release(&a);
        bpe_work_release(&b);
        bpe_merges_release(&merges);
    }
}

static void every_failed_allocation_is_an_error_without_leak(void) {
    if (!test_shared()) SKIP("no reference data");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/golden/llama-spm", test_shared());
    for (long nth = 1;; nth = nth < 400 ? nth + 1 : nth + nth / 3) {
        tokenizer_spec spec = {0};
        tokenizer *t = NULL;
        token_list ids = {0};
        char *text = NULL;
        size_t n = 0;
        mem_fail_from(nth);
        hone_status status = tokenizer_spec_from_folder(&spec, path);
        if (status == HONE_OK) status = tokenizer_open(&t, &spec);
        if (status == HONE_OK) status = tokenizer_encode(t, "a b ▁ c", 9, NULL, 0, 0, &ids);
        if (status == HONE_OK) status = tokenizer_decode(t, ids.ids, ids.n, false, &text, &n);
        mem_fail_from(0);
        CHECK_MSG(status == HONE_OK || status == HONE_ERR_MEMORY, "allocation %ld: %s", nth,
                  hone_error_message());
        mem_free(text);
        token_list_release(&ids);
        tokenizer_close(t);
        tokenizer_spec_release(&spec);
        if (status == HONE_OK) break;
    }
}

/* --- splits --- */

static void check_split(tokenizer_split rule, const char *text, const char *expected) {
    char joined[256] = "";
    splitter s;
    size_t begin, end, at = 0, n = 0;
    split_init(&s, rule, text, strlen(text));
    while (split_next(&s, &begin, &end)) {
        CHECK(begin == at && end > begin);
        at = end;
        if (n) joined[n++] = '|';
        memcpy(joined + n, text + begin, end - begin);
        n += end - begin;
        joined[n] = 0;
    }
    CHECK(at == strlen(text));
    CHECK_MSG(strcmp(joined, expected) == 0, "\"%s\" gives \"%s\", expected \"%s\"", text, joined,
              expected);
}

static void splits_follow_their_patterns(void) {
    check_split(SPLIT_GPT2, "I'm  12ab, don'T", "I|'m| | 12|ab|,| don|'|T");
    check_split(SPLIT_GPT2, "a \n b\n", "a| \n| b|\n");
    check_split(SPLIT_GPT2, "a  ", "a|  ");
    check_split(SPLIT_QWEN2, "I'M 1234 (x)\r\n\r\n  z", "I|'M| |1|2|3|4| (|x|)\r\n\r\n| | z");
    check_split(SPLIT_QWEN2, "a'\u017Fthe 'll", "a|'\u017F|the| '|ll");
    check_split(SPLIT_QWEN2, "a \n \n  b", "a| \n \n| | b");
    check_split(SPLIT_QWEN2, "e\u0301t", "e|\u0301t");
    check_split(SPLIT_QWEN35, "e\u0301t", "e\u0301t");
    check_split(SPLIT_LLAMA3, "1234567", "123|456|7");
    check_split(SPLIT_SMOLLM, "a 12  3", "a| |1|2|  |3");
    check_split(SPLIT_DEEPSEEK_LLM, "I'm a café.\n 12", "I|'|m| a| caf|é|.|\n| |1|2");
    check_split(SPLIT_DEEPSEEK_CODER, " ab 你好1", " ab| |你好|1");
    check_split(SPLIT_FALCON, "a 1234<b>", "a| |123|4|<|b|>");
    check_split(SPLIT_NEWLINES, "a\n\nb c\n", "a|\n\n|b c|\n");
    check_split(SPLIT_NONE, "a b", "a b");
}

static void long_runs_split_in_linear_time(void) {
    enum { N = 300000 };
    char *text = mem_alloc(N);
    for (int rule = SPLIT_NONE; rule <= SPLIT_DEFAULT; rule++)
        for (const char *fill = " \n'a1."; *fill; fill++) {
            splitter s;
            size_t begin, end = 0;
            memset(text, *fill, N);
            text[N - 1] = 'x';
            split_init(&s, (tokenizer_split)rule, text, N);
            while (split_next(&s, &begin, &end)) {}
            CHECK(end == N);
        }
    mem_free(text);
}

/* --- Unicode --- */

static void nfc_composes_and_orders(void) {
    static const char *const rows[][2] = {
        {"e\u0301", "\u00E9"},
        {"\u212B", "\u00C5"},                       /* a singleton */
        {"a\u0316\u0301", "\u00E1\u0316"},          /* reordered, then composed */
        {"a\u0301\u0316", "\u00E1\u0316"},
        {"\u1112\u1161\u11AB", "\uD55C"},           /* Hangul */
        {"\u0439", "\u0439"},
        {"\u0438\u0306", "\u0439"},
        {"\u0958", "\u0915\u093C"},                 /* excluded from composition */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *out = NULL;
        size_t n = 0;
        CHECK_OK(unicode_nfc(rows[i][0], strlen(rows[i][0]), &out, &n));
        CHECK_MSG(n == strlen(rows[i][1]) && memcmp(out, rows[i][1], n) == 0, "row %zu", i);
        CHECK(unicode_is_nfc(out, n) || !strcmp(rows[i][0], rows[i][1]) || strstr(out, "\u0316") ||
              strstr(out, "\u093C"));
        if (strcmp(rows[i][0], rows[i][1]) != 0)
            CHECK(!unicode_is_nfc(rows[i][0], strlen(rows[i][0])));
        mem_free(out);
    }
    CHECK(unicode_is_nfc("\u0439 \u4F60\u597D \u00E9 \uD55C", 17));
}

/* is_nfc may only say yes where NFC changes nothing: every character alone and behind an a. */
static void is_nfc_is_never_wrong_about_a_character(void) {
    for (uint32_t code = 0x80; code < 0x110000; code++) {
        char text[8] = "a", *out = NULL;
        size_t n = 0;
        if (code >= 0xD800 && code < 0xE000) continue;
        size_t length = 1 + utf8_write(text + 1, code);
        if (!unicode_is_nfc(text, length)) continue;
        CHECK_OK(unicode_nfc(text, length, &out, &n));
        CHECK_MSG(n == length && memcmp(out, text, n) == 0, "U+%04X", code);
        mem_free(out);
    }
}

static void character_classes_are_unicode_s(void) {
    static const uint32_t spaces[] = {9, 10, 11, 12, 13, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x200A,
                                      0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    size_t n_spaces = 0;
    for (uint32_t code = 0; code < 0x110000; code++)
        n_spaces += (unicode_class(code) & CHAR_SPACE) != 0;
    CHECK(n_spaces == 25);
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        CHECK(unicode_class(spaces[i]) == CHAR_SPACE);
    for (uint32_t code = 0; code < 128; code++) /* the table against the data */
        if (unicode_class(code) != CHAR_SPACE)
            CHECK_MSG(unicode_class(code) == unicode_class_beyond_ascii(code), "U+%04X", code);
    CHECK(unicode_class(0x4F60) == CHAR_LETTER && unicode_class(0xB2) == CHAR_NUMBER);
    CHECK(unicode_class(0x301) == CHAR_MARK && unicode_class(0x2014) == CHAR_PUNCT);
}

/* --- hostile files --- */

static hone_status try_json(const char *json) {
    tokenizer_spec spec = {0};
    tokenizer *t = NULL;
    hone_status status = tokenizer_spec_from_json(&spec, json, strlen(json), "test");
    if (status == HONE_OK) status = tokenizer_open(&t, &spec);
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
    return status;
}

#define BYTES "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"

static void bad_files_are_refused_with_their_fault(void) {
    static const struct {
        const char *json, *words;
    } rows[] = {
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
         "both"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",
         "expected an id"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9000000},\"merges\":[]}}",
         "ids go up to"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}",
         "expected an id"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
         "not of three tokens"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}",
         "expected"},
        {"{" BYTES ",\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}}", "Unigram"},
        {"{\"normalizer\":{\"type\":\"NFKC\"}," BYTES
         ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         "NFKC"},
        {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}}", "Whitespace"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a-q]+z\"},"
         "\"behavior\":\"Isolated\",\"invert\":false}}",
         "[a-q]+z"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
         "\"added_tokens\":[{\"id\":0,\"content\":\"b\"}]}",
         "added token"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
         "\"added_tokens\":[{\"id\":1,\"content\":\"b\"},{\"id\":2,\"content\":\"b\"}]}",
         "the same text"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "no tokens"},
        {"{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
         "\"post_processor\":{\"type\":\"RobertaProcessing\"}}",
         "RobertaProcessing"},
        {"[]", "expected an object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_MSG(try_json(rows[i].json) != HONE_OK, "row %zu", i);
        CHECK_MSG(strstr(hone_error_message(), rows[i].words), "row %zu: %s", i,
                  hone_error_message());
    }
    CHECK_OK(try_json("{" BYTES ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
                      "\"merges\":[\"a b\"]}}"));
}

static void bad_specs_are_refused_with_their_fault(void) {
    token_entry tokens[] = {{.text = "a", .n = 1, .type = TOKEN_NORMAL},
                            {.text = "b", .n = 1, .type = TOKEN_NORMAL}};
    tokenizer_spec good = {.tokens = tokens, .n_tokens = 2, .bos = -1, .eos = -1, .unk = -1,
                           .pad = -1};
    tokenizer *t = NULL;
    CHECK_OK(tokenizer_open(&t, &good));
    tokenizer_close(t);
    tokenizer_spec bad = good;
    bad.bos = 2;
    CHECK(tokenizer_open(&t, &bad) == HONE_ERR_FORMAT);
    bad = good;
    bad.n_tokens = 0;
    CHECK(tokenizer_open(&t, &bad) == HONE_ERR_FORMAT);
    bad = good;
    tokens[1].text = "a";
    CHECK(tokenizer_open(&t, &bad) == HONE_ERR_FORMAT && strstr(hone_error_message(), "token 1"));
    tokens[1].text = "\xFF";
    CHECK(tokenizer_open(&t, &bad) == HONE_ERR_FORMAT && strstr(hone_error_message(), "UTF-8"));
    tokens[1].text = "b";
    tokens[1].type = 9;
    CHECK(tokenizer_open(&t, &bad) == HONE_ERR_FORMAT && strstr(hone_error_message(), "type 9"));
    tokens[1].type = TOKEN_NORMAL;
    bad.model = TOKENIZER_SPM;
    tokens[1].score = NAN;
    CHECK(tokenizer_open(&t, &bad) == HONE_ERR_FORMAT && strstr(hone_error_message(), "score"));
}

/* White space beside tokens with lstrip or rstrip belongs to them. */
static void strips_take_the_white_space_beside_a_token(void) {
    token_entry tokens[] = {{.text = "a", .n = 1, .type = TOKEN_NORMAL},
                            {.text = "Ġ", .n = 2, .type = TOKEN_NORMAL},
                            {.text = "<x>", .n = 3, .type = TOKEN_USER_DEFINED, .strips_left = true,
                             .strips_right = true}};
    tokenizer_spec spec = {.tokens = tokens, .n_tokens = 3, .bos = -1, .eos = -1, .unk = -1,
                           .pad = -1};
    static const int32_t expected[] = {1, 0, 2, 0, 1};
    tokenizer *t = NULL;
    CHECK_OK(tokenizer_open(&t, &spec));
    token_list ids = encode(t, " a  <x>  a ", 11, false, 0);
    CHECK(ids.n == 5 && memcmp(ids.ids, expected, sizeof expected) == 0);
    token_list_release(&ids);
    tokenizer_close(t);
}

int main(void) {
    RUN(reference_folders_give_the_recorded_ids);
    RUN(every_token_list_ends_a_turn_where_its_files_say);
    RUN(folders_with_other_parts_are_refused_by_name);
    RUN(opt_whisper_and_vl2_folders_open);
    RUN(tinystories_gives_the_recorded_prompt);
    RUN(stories260k_gives_the_recorded_prompt);
    RUN(user_text_never_becomes_a_control_token);
    RUN(control_tokens_match_only_inside_spans);
    RUN(invalid_utf8_is_refused_and_leaves_the_list);
    RUN(pieces_join_to_the_decoded_text);
    RUN(threads_share_a_tokenizer);
    RUN(long_pieces_take_n_log_n_steps);
    RUN(a_megabyte_of_one_letter_round_trips);
    RUN(short_and_long_pieces_merge_alike);
    RUN(every_failed_allocation_is_an_error_without_leak);
    RUN(splits_follow_their_patterns);
    RUN(long_runs_split_in_linear_time);
    RUN(nfc_composes_and_orders);
    RUN(is_nfc_is_never_wrong_about_a_character);
    RUN(character_classes_are_unicode_s);
    RUN(bad_files_are_refused_with_their_fault);
    RUN(bad_specs_are_refused_with_their_fault);
    RUN(strips_take_the_white_space_beside_a_token);
    return test_summary();
}
