/* How answers are read and judged: the worked examples of the formulas, and the rules of the sets. */
#include "base/json.h"
#include "base/mem.h"
#include "lab/metric.h"
#include "lab/score_ifeval.h"
#include "lab/score_language.h"
#include "lab/score_overlap.h"
#include "lab/score_text.h"
#include "test.h"
#include "text/word_errors.h"

/* --- numbers --- */

static void number_is(const char *answer, double expected) {
    double number = NAN;
    bool found = false;
    CHECK_OK(score_read_number(answer, &number, &found));
    CHECK_MSG(found == !isnan(expected) && (!found || fabs(number - expected) < 1e-9),
              "\"%s\": %g, expected %g", answer, number, expected);
}

static void numbers_are_read_where_the_answer_stands(void) {
    number_is("3 + 4 = 7", 7);
    number_is("I think #### 12\nor 5", 5);
    number_is("#### 12", 12);
    number_is("The answer is 8. That was 2 steps.", 2);
    number_is("The Answer Is: 8", 8);
    number_is("#### 3 then the answer is 4", 4);
    number_is("It costs $1,234.50.", 1234.5);
    number_is("It is 18.", 18);
    number_is("about -7 degrees", -7);
    number_is("\xE2\x82\xAC 99", 99);
    number_is("80%", 80);
    number_is("\xE0\xA7\xA7\xE0\xA7\xAE", 18);            /* Bengali */
    number_is("\xEF\xBC\x94\xEF\xBC\x92", 42);            /* full width */
    number_is("1.000", 1);
    number_is("none at all", NAN);
    number_is("", NAN);
    CHECK(score_same_number(18.0000001, 18) && !score_same_number(18.1, 18));
    CHECK(score_same_number(1e9 + 500, 1e9) && !score_same_number(1e9 + 2000, 1e9));
}

/* --- texts --- */

static bool same(const char *answer, const char *expected) {
    buf seen;
    bool is = false;
    buf_init(&seen, 1 << 16);
    CHECK_OK(score_same_text(answer, expected, &is, &seen));
    buf_release(&seen);
    return is;
}

static void texts_are_compared_after_normalisation(void) {
    CHECK(same(" True\nQ: next", "True") && same("true.", "True") && !same("untrue", "True"));
    CHECK(same("Let's see. So the answer is (B).", "(B)") && same("B", "(B)") &&
          same("b) because", "(B)"));
    CHECK(same("(B) is right", "(B)") && !same("(C)", "(B)") && !same("Before", "(B)"));
    CHECK(same("\"valid\"", "valid") && same("a, b,  c", "a b c") && !same("", "valid"));
    CHECK(same("\n\n  yes \n no", "yes"));
}

static void letters_are_found(void) {
    CHECK(score_read_letter("B", 4) == 1 && score_read_letter("(c)", 4) == 2);
    CHECK(score_read_letter("The answer is D.", 4) == 3 && score_read_letter("Answer: A", 4) == 0);
    CHECK(score_read_letter("I would say B, not A", 4) == 1);
    CHECK(score_read_letter("Because", 4) == -1 && score_read_letter("E", 4) == -1);
    CHECK(score_read_letter("a cat", 4) == -1 && score_read_letter("", 4) == -1);
}

static void word_errors_are_as_worked(void) {
    const char *const pairs[][2] = {
        {"The cat sat on the mat.", "the cat sit on mat"}, {"Hello, world!", "hello BIG world"}};
    metric_counts counts[2];
    word_errors e;
    estimate rate;
    for (int i = 0; i < 2; i++) {
        buf a, b;
        buf_init(&a, 1000);
        buf_init(&b, 1000);
        CHECK_OK(score_plain_words(&a, pairs[i][0], strlen(pairs[i][0])));
        CHECK_OK(score_plain_words(&b, pairs[i][1], strlen(pairs[i][1])));
        CHECK_OK(word_errors_count(&e, a.data, b.data));
        counts[i] = (metric_counts){{(double)e.n_errors, (double)e.n_words}};
        buf_release(&a);
        buf_release(&b);
    }
    CHECK(counts[0].of[0] == 2 && counts[0].of[1] == 6 && counts[1].of[0] == 1);
    CHECK_OK(metric_estimate(&rate, &metric_word_error_rate, counts, 2, 1));
    CHECK_NEAR(rate.value, 3.0 / 8, 1e-12);
    buf plain;
    buf_init(&plain, 1000);
    const char *text = "L\xE2\x80\x99\xC3\xA9t\xC3\xA9, \xD1\x91\xD0\xB6 5-6 don't";
    CHECK_OK(score_plain_words(&plain, text, strlen(text)));
    CHECK_MSG(strcmp(plain.data, "lete \xD0\xB5\xD0\xB6 5 6 dont") == 0, "%s", plain.data);
    buf_release(&plain);
}

static void overlaps_are_as_worked(void) {
    double counts[CHRF_COUNTS], f1;
    CHECK_OK(score_chrf_count(counts, "the cat sat", "the cat sits"));
    CHECK_NEAR(score_chrf_value(counts), 61.03, 0.005);
    CHECK(counts[0] == 8 && counts[1] == 9 && counts[2] == 10);
    CHECK_OK(score_chrf_count(counts, "", "abc"));
    CHECK_NEAR(score_chrf_value(counts), 0, 0);
    CHECK_OK(score_chrf_count(counts, "ab", "ab")); /* orders that are too long are left out */
    CHECK_NEAR(score_chrf_value(counts), 100, 1e-9);
    CHECK_OK(score_rouge_l(&f1, "the cat lay on the mat", "the cat is on the mat today"));
    CHECK_NEAR(f1, 0.7692, 5e-5);
    CHECK_OK(score_rouge_l(&f1, "The CAT!", "the cat"));
    CHECK_NEAR(f1, 1, 1e-12);
    CHECK_OK(score_rouge_l(&f1, "", "the cat"));
    CHECK_NEAR(f1, 0, 0);
}

static void metrics_of_nothing_are_nothing(void) {
    estimate e;
    CHECK_OK(metric_estimate(&e, &metric_accuracy, NULL, 0, 1));
    CHECK(isnan(e.value));
    metric_counts hits[4] = {{{1, 1}}, {{0, 1}}, {{1, 1}}, {{1, 1}}};
    CHECK_OK(metric_estimate(&e, &metric_accuracy, hits, 4, 1));
    CHECK_NEAR(e.low, 0.301, 5e-4);
}

/* --- instructions --- */

static int check(const char *instruction, const char *arguments, const char *answer, bool loosely) {
    json_t *json;
    bool follows = false;
    if (!CHECK_OK(json_parse(&json, arguments, strlen(arguments), "arguments"))) return -1;
    hone_status status = loosely ? score_ifeval_check_loosely(answer, instruction, json, &follows)
                                 : score_ifeval_check(answer, instruction, json, &follows);
    CHECK_MSG(status == HONE_OK, "%s: %s", instruction, hone_error_message());
    json_decref(json);
    return follows;
}

static const struct {
    const char *instruction, *arguments, *follows, *breaks;
} instructions[] = {
    {"punctuation:no_comma", "{}", "No comma. At all", "One, here"},
    {"keywords:existence", "{\"keywords\": [\"Sea\", \"sun\"]}", "sunny seaside", "only the sun"},
    {"keywords:forbidden_words", "{\"forbidden_words\": [\"sea\"]}", "seaside", "The Sea is big"},
    {"keywords:frequency", "{\"keyword\": \"ha\", \"frequency\": 3, \"relation\": \"at least\"}",
     "hahaHA", "ha ha"},
    {"keywords:letter_frequency",
     "{\"letter\": \"e\", \"let_frequency\": 2, \"let_relation\": \"less than\"}", "An E", "eel"},
    {"change_case:english_capital", "{}", "THE CAT IS ON THE MAT", "THE cat"},
    {"change_case:english_lowercase", "{}", "the cat is on the mat", "the Cat"},
    {"change_case:capital_word_frequency",
     "{\"capital_frequency\": 2, \"capital_relation\": \"at least\"}", "GO there, NOW-ISH", "GO there Now"},
    {"language:response_language", "{\"language\": \"de\"}", "Das ist nicht der Hund von mir",
     "This is not the dog of the house"},
    {"language:response_language", "{\"language\": \"hi\"}",
     "\xE0\xA4\xAF\xE0\xA4\xB9 \xE0\xA4\x8F\xE0\xA4\x95 \xE0\xA4\x95\xE0\xA5\x87 \xE0\xA4\xB9\xE0\xA5\x88",
     "yeh ek and is the one"},
    {"length_constraints:number_words", "{\"num_words\": 4, \"relation\": \"less than\"}",
     "one two-three", "one two three four"},
    {"length_constraints:number_sentences", "{\"num_sentences\": 3, \"relation\": \"at least\"}",
     "Dr. Smith came. He saw 3.5 metres! Why?", "Dr. Smith came. He left."},
    {"length_constraints:number_paragraphs", "{\"num_paragraphs\": 2}", "a\n***\nb\n***\n",
     "a\n***\n\n***\nb"},
    {"length_constraints:nth_paragraph_first_word",
     "{\"num_paragraphs\": 2, \"nth_paragraph\": 2, \"first_word\": \"so\"}", "One.\n\n\"So, two",
     "So one.\n\nTwo"},
    {"detectable_content:number_placeholders", "{\"num_placeholders\": 2}", "[a] and [b c]", "[a] [b"},
    {"detectable_content:postscript", "{\"postscript_marker\": \"P.S.\"}", "Bye\nP. S. more", "Bye PS"},
    {"detectable_content:postscript", "{\"postscript_marker\": \"P.P.S\"}", "P.P.S more", "P.S. more"},
    {"detectable_format:constrained_response", "{}", "Well. My answer is maybe.", "My answer is perhaps."},
    {"detectable_format:json_format", "{}", "```json\n{\"a\": [1]}\n```", "{\"a\": 1} done"},
    {"detectable_format:multiple_sections", "{\"section_spliter\": \"Day\", \"num_sections\": 2}",
     "Day 1\nx\nDay 2\ny", "Day 1\nDay two"},
    {"detectable_format:number_bullet_lists", "{\"num_bullets\": 2}", "* a\n - b\n**bold**", "* a"},
    {"detectable_format:number_highlighted_sections", "{\"num_highlights\": 2}", "*a* and *b*", "*a* ** *"},
    {"detectable_format:title", "{}", "<<A title>>\ntext", "<< >> <A>"},
    {"combination:repeat_prompt", "{\"prompt_to_repeat\": \"Say It.\"}", " say it. Yes", "Yes. Say it."},
    {"combination:two_responses", "{}", "a\n******\nb", "a ****** a"},
    {"startend:end_checker", "{\"end_phrase\": \"The End.\"}", "So. \"the end.\" ", "The end. Not"},
    {"startend:quotation", "{}", " \"Quoted\" ", "\"Half"},
};

static void each_instruction_is_checked_by_its_rule(void) {
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        const char *name = instructions[i].instruction, *arguments = instructions[i].arguments;
        CHECK_MSG(check(name, arguments, instructions[i].follows, false) == 1, "%s: %s", name,
                  instructions[i].follows);
        CHECK_MSG(check(name, arguments, instructions[i].breaks, false) == 0, "%s: %s", name,
                  instructions[i].breaks);
        CHECK_MSG(check(name, arguments, " \n", false) == 0, "%s: an empty answer", name);
    }
}

static void lenient_forms_leave_lines_and_stars_out(void) {
    const char *arguments = "{\"end_phrase\": \"the end\"}";
    CHECK(check("startend:end_checker", arguments, "Text. The **end**", false) == 0);
    CHECK(check("startend:end_checker", arguments, "Text. The **end**", true) == 1);
    CHECK(check("startend:end_checker", arguments, "Text. The end\nHope this helps", true) == 1);
    CHECK(check("startend:quotation", "{}", "Sure:\n\"Quoted\"", true) == 1);
    CHECK(check("startend:quotation", "{}", "Sure:\n\"Quoted\"\nBye", true) == 1);
    CHECK(check("startend:quotation", "{}", "Sure", true) == 0);
}

static void unknown_instructions_are_errors(void) {
    bool follows;
    json_t *empty = json_object();
    CHECK(score_ifeval_check("x", "punctuation:none", empty, &follows) == HONE_ERR_FORMAT);
    CHECK(score_ifeval_check("x", "keywords:frequency", empty, &follows) == HONE_ERR_FORMAT);
    CHECK(score_ifeval_check("x", "length_constraints:number_words", empty, &follows) ==
          HONE_ERR_FORMAT);
    json_decref(empty);
}

static void languages_are_told_apart(void) {
    static const char *const texts[][2] = {
        {"en", "The house is old and it was not for sale"}, {"fr", "La maison est dans le village"},
        {"es", "La casa no es para los ni\xC3\xB1os"}, {"it", "La casa non \xC3\xA8 per gli altri"},
        {"pt", "A casa n\xC3\xA3o \xC3\xA9 para voc\xC3\xAA"},
        {"ru", "\xD0\xAD\xD1\x82\xD0\xBE \xD0\xBD\xD0\xB5 \xD0\xBC\xD0\xBE\xD0\xB9 \xD0\xB4\xD0\xBE\xD0\xBC"},
        {"ko", "\xEC\x95\x88\xEB\x85\x95\xED\x95\x98\xEC\x84\xB8\xEC\x9A\x94"},
        {"ja", "\xE3\x81\x93\xE3\x82\x8C\xE3\x81\xAF\xE6\x9C\xAC"}, {"th", "\xE0\xB8\xAA\xE0\xB8\xA7\xE0\xB8\xB1"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *found = score_language_of(texts[i][1]);
        CHECK_MSG(found && strcmp(found, texts[i][0]) == 0, "%s: %s", texts[i][0], found);
    }
    CHECK(!score_language_of("123 !?") && !score_language_of(""));
}

int main(void) {
    RUN(numbers_are_read_where_the_answer_stands);
    RUN(texts_are_compared_after_normalisation);
    RUN(letters_are_found);
    RUN(word_errors_are_as_worked);
    RUN(overlaps_are_as_worked);
    RUN(metrics_of_nothing_are_nothing);
    RUN(each_instruction_is_checked_by_its_rule);
    RUN(lenient_forms_leave_lines_and_stars_out);
    RUN(unknown_instructions_are_errors);
    RUN(languages_are_told_apart);
    return test_summary();
}
