/* Any text as a model's answer, before every judge: readers of numbers, letters and texts,
 * overlaps, and all instructions. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "lab/score_ifeval.h"
#include "lab/score_language.h"
#include "lab/score_overlap.h"
#include "lab/score_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char arguments[] =
    "{\"keywords\": [\"a\", \"b c\"], \"forbidden_words\": [\"ab\"], \"keyword\": \"aa\", \"letter\": \"e\","
    " \"frequency\": 2, \"relation\": \"at least\", \"let_frequency\": 2, \"let_relation\": \"less than\","
    " \"capital_frequency\": 1, \"capital_relation\": \"at least\", \"language\": \"en\", \"num_words\": 3,"
    " \"num_sentences\": 2, \"num_paragraphs\": 2, \"nth_paragraph\": 2, \"first_word\": \"so\","
    " \"num_placeholders\": 1, \"postscript_marker\": \"P.P.S\", \"section_spliter\": \"Day\","
    " \"num_sections\": 1, \"num_bullets\": 1, \"num_highlights\": 1, \"prompt_to_repeat\": \"say it\","
    " \"end_phrase\": \"the end\"}";

static const char *const instructions[] = {
    "change_case:capital_word_frequency", "change_case:english_capital",
    "change_case:english_lowercase", "combination:repeat_prompt", "combination:two_responses",
    "detectable_content:number_placeholders", "detectable_content:postscript",
    "detectable_format:constrained_response", "detectable_format:json_format",
    "detectable_format:multiple_sections", "detectable_format:number_bullet_lists",
    "detectable_format:number_highlighted_sections", "detectable_format:title",
    "keywords:existence", "keywords:forbidden_words", "keywords:frequency",
    "keywords:letter_frequency", "language:response_language",
    "length_constraints:nth_paragraph_first_word", "length_constraints:number_paragraphs",
    "length_constraints:number_sentences", "length_constraints:number_words",
    "punctuation:no_comma", "startend:end_checker", "startend:quotation"};

static void judge(const char *text) {
    double number, f1, counts[CHRF_COUNTS];
    bool found, same, follows;
    buf seen;
    json_t *json;
    score_read_number(text, &number, &found);
    score_read_letter(text, 4);
    score_language_of(text);
    buf_init(&seen, 1 << 20);
    score_same_text(text, "(B)", &same, &seen);
    score_plain_words(&seen, text, strlen(text));
    buf_release(&seen);
    score_chrf_count(counts, text, "the cat");
    score_rouge_l(&f1, text, "the cat sat");
    if (json_parse(&json, arguments, sizeof arguments - 1, "arguments") != HONE_OK) return;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++)
        if (score_ifeval_check_loosely(text, instructions[i], json, &follows) != HONE_OK)
            __builtin_trap();
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf text;
    if (size > 4096) return 0;
    buf_init(&text, 1 << 20);
    if (utf8_add_replaced(&text, (const char *)data, size) == HONE_OK)
        judge(text.data ? text.data : "");
    buf_release(&text);
    return 0;
}
