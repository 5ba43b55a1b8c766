#include "format/tokenizer_json_patterns.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "format/split_ranges.h"

hone_status split_steps_add(split_steps *steps, split_pattern pattern) {
    if (steps->n == SPLIT_STEPS_MAX)
        return fail(HONE_ERR_UNSUPPORTED, "pre-tokenizer: more than %d patterns", SPLIT_STEPS_MAX);
    steps->items[steps->n++] = pattern;
    return HONE_OK;
}

/* --- expressions that are known as they are written --- */

static const struct known_regex {
    const char *regex;
    split_pattern pattern;
} known[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     STEP_PATTERN_GPT2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     STEP_PATTERN_GPT2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     STEP_PATTERN_QWEN2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     STEP_PATTERN_LLAMA3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"
     " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     STEP_PATTERN_QWEN35},
    {"\\p{N}", STEP_PATTERN_NUMBER},
    {"\\s?\\p{L}+", STEP_PATTERN_LETTERS},
    {"\\s?\\p{P}+", STEP_PATTERN_PUNCT},
    {"\\s+$", STEP_PATTERN_END_SPACE},
};

/* --- expressions that are a list of characters: [X], [X]+ or \s?[X]+ --- */

enum { MAX_RANGES = 128 };

/* Reads one character of a list: itself, \r, \n, \t or \x{HEX}. False at anything else. */
static bool read_code(const char **at, uint32_t *code) {
    const char *s = *at;
    if (*s == '\0' || *s == ']' || *s == '[' || *s == '^') return false;
    if (*s != '\\') {
        *at += utf8_decode(s, strlen(s), code);
        return *code != UTF8_INVALID;
    }
    static const char letters[] = "rnt", codes[] = "\r\n\t";
    const char *letter = s[1] ? strchr(letters, s[1]) : NULL;
    if (letter) {
        *code = (uint32_t)codes[letter - letters];
        *at += 2;
        return true;
    }
    if (s[1] != 'x' || s[2] != '{') return false;
    char *end;
    unsigned long value = strtoul(s + 3, &end, 16);
    if (end == s + 3 || end > s + 9 || *end != '}' || value > 0x10FFFF) return false;
    *code = (uint32_t)value;
    *at = end + 1;
    return true;
}

static int by_first(const void *a, const void *b) {
    uint32_t x = ((const code_range *)a)->first, y = ((const code_range *)b)->first;
    return x < y ? -1 : x > y;
}

/* Sorts, and joins what overlaps or touches; returns how many are left. */
static size_t tidy(code_range *ranges, size_t n) {
    size_t kept = 0;
    qsort(ranges, n, sizeof *ranges, by_first);
    for (size_t i = 0; i < n; i++) {
        if (kept && ranges[i].first <= ranges[kept - 1].last + 1) {
            if (ranges[i].last > ranges[kept - 1].last) ranges[kept - 1].last = ranges[i].last;
        } else {
            ranges[kept++] = ranges[i];
        }
    }
    return kept;
}

/* Reads the list at *at, which stands on its '['. Returns the number of ranges, 0 for no list. */
static size_t read_list(const char **at, code_range *ranges) {
    size_t n = 0;
    const char *s = *at;
    if (*s++ != '[') return 0;
    while (*s != ']') {
        uint32_t first, last;
        if (n == MAX_RANGES || !read_code(&s, &first)) return 0;
        last = first;
        if (*s == '-' && s++ && !read_code(&s, &last)) return 0;
        if (last < first) return 0;
        ranges[n++] = (code_range){first, last};
    }
    *at = s + 1;
    return tidy(ranges, n);
}

static const struct known_list {
    bool space_before, run;
    const code_ranges *ranges;
    split_pattern pattern;
} known_lists[] = {
    {false, false, &newline_codes, STEP_PATTERN_NEWLINE},
    {true, true, &deepseek_letters, STEP_PATTERN_DEEPSEEK_LETTERS},
    {true, true, &deepseek_punct, STEP_PATTERN_DEEPSEEK_PUNCT},
    {false, true, &deepseek_cjk, STEP_PATTERN_CJK},
};

static bool find_list(const char *regex, split_pattern *found) {
    code_range ranges[MAX_RANGES];
    bool space_before = strncmp(regex, "\\s?", 3) == 0;
    if (space_before) regex += 3;
    size_t n = read_list(&regex, ranges);
    bool run = *regex == '+';
    if (n == 0 || regex[run] != '\0') return false;
    for (size_t i = 0; i < sizeof known_lists / sizeof *known_lists; i++) {
        const struct known_list *k = &known_lists[i];
        if (k->space_before != space_before || k->run != run || k->ranges->n != n ||
            memcmp(k->ranges->items, ranges, n * sizeof *ranges) != 0)
            continue;
        *found = k->pattern;
        return true;
    }
    return false;
}

bool split_pattern_find(const char *regex, split_pattern *found) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].regex, regex) == 0) {
            *found = known[i].pattern;
            return true;
        }
    return find_list(regex, found);
}

/* --- sequences --- */

static const struct known_sequence {
    tokenizer_split rule;
    split_steps steps;
} known_sequences[] = {
    {SPLIT_NONE, {.n = 0}},
    {SPLIT_GPT2, {{STEP_PATTERN_GPT2}, 1}},
    {SPLIT_QWEN2, {{STEP_PATTERN_QWEN2}, 1}},
    {SPLIT_LLAMA3, {{STEP_PATTERN_LLAMA3}, 1}},
    {SPLIT_QWEN35, {{STEP_PATTERN_QWEN35}, 1}},
    {SPLIT_SMOLLM, {{STEP_PATTERN_NUMBER, STEP_PATTERN_GPT2}, 2}},
    {SPLIT_DEEPSEEK_LLM,
     {{STEP_PATTERN_NEWLINE, STEP_PATTERN_DEEPSEEK_LETTERS, STEP_PATTERN_DEEPSEEK_PUNCT,
       STEP_PATTERN_END_SPACE, STEP_PATTERN_CJK, STEP_PATTERN_NUMBER}, 6}},
    {SPLIT_DEEPSEEK_CODER,
     {{STEP_PATTERN_NEWLINE, STEP_PATTERN_LETTERS, STEP_PATTERN_PUNCT, STEP_PATTERN_CJK,
       STEP_PATTERN_NUMBER}, 5}},
};

bool split_steps_rule(const split_steps *steps, tokenizer_split *rule) {
    for (size_t i = 0; i < sizeof known_sequences / sizeof *known_sequences; i++) {
        const split_steps *k = &known_sequences[i].steps;
        if (k->n != steps->n || memcmp(k->items, steps->items, k->n * sizeof *k->items) != 0)
            continue;
        *rule = known_sequences[i].rule;
        return true;
    }
    return false;
}

bool split_rule_regexes(tokenizer_split rule, const char *regexes[SPLIT_STEPS_MAX], size_t *n) {
    size_t r = 0, n_rules = sizeof known_sequences / sizeof *known_sequences;
    while (r < n_rules && known_sequences[r].rule != rule) r++;
    if (r == n_rules) return false;
    const split_steps *steps = &known_sequences[r].steps;
    *n = steps->n;
    for (size_t i = 0; i < steps->n; i++) {
        size_t k = 0, n_known = sizeof known / sizeof *known;
        while (k < n_known && known[k].pattern != steps->items[i]) k++;
        if (k == n_known) return false;
        regexes[i] = known[k].regex;
    }
    return true;
}
