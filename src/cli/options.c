/* The parser and the help page, both made from one table. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"

enum {
    HELP_COLUMN = 30, /* where the explanations begin */
    HELP_WIDTH = 96,
    MAX_OPTIONS = 64,
    MAX_WORD = 64
};

/* --- nearest name --- */

/* Number of insertions, deletions, substitutions and swaps of neighbours between two short words
 * (optimal string alignment). */
static size_t edit_distance(const char *a, const char *b) {
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a >= MAX_WORD || n_b >= MAX_WORD) return MAX_WORD;
    size_t row[3][MAX_WORD + 1];
    for (size_t j = 0; j <= n_b; j++) row[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best) best = before[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && earlier[j - 2] + 1 < best) best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n_a % 3][n_b];
}

const char *cli_nearest(const char *typed, const char *const *words) {
    const char *nearest = NULL;
    size_t least = strlen(typed) <= 4 ? 2 : 3; /* further away is a guess, not a slip */
    for (; *words; words++) {
        size_t distance = edit_distance(typed, *words);
        if (distance < least) least = distance, nearest = *words;
    }
    return nearest;
}

/* --- help --- */

/* Prints `text` from column `column` on, breaking at spaces; a "\n" in it is kept, and so are
 * spaces behind one. */
static void print_wrapped(FILE *out, const char *text, int column, int indent) {
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + (int)word > HELP_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, word, out);
        column += (int)word;
        text += word;
        if (*text == ' ') text++;
        while (*text == '\n') {
            fputc('\n', out);
            column = 0;
            text++;
            if (*text != '\n') {
                int kept = (int)strspn(text, " ");
                fprintf(out, "%*s", indent + kept, "");
                column = indent;
                text += kept;
            }
        }
    }
    fputc('\n', out);
}

/* Characters of a text that a column each shows; bytes 10xxxxxx only continue one. */
static int count_columns(const char *text) {
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_option(FILE *out, const cli_option *option) {
    char left[128];
    char letter[5] = "    ";
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    int column = count_columns(left);
    fputs(left, out);
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - column, "");
    print_wrapped(out, option->help, HELP_COLUMN, HELP_COLUMN);
}

static void print_help(FILE *out, const cli_usage *usage) {
    const char *bold = cli_colour_code(out, CLI_BOLD), *plain = cli_colour_code(out, CLI_PLAIN);
    const char *operands = usage->operands ? usage->operands : "";
    fprintf(out, "%sUsage:%s hone %s [OPTIONS]%s%s\n\n", bold, plain, usage->command,
            *operands ? " " : "", operands);
    print_wrapped(out, usage->about, 0, 0);
    fprintf(out, "\n%sOptions%s\n", bold, plain);
    for (const cli_option *o = usage->options; o->kind; o++) {
        if (o->kind == CLI_KIND_HEADING) {
            fprintf(out, "\n%s%s%s\n", bold, o->name, plain);
        } else {
            print_option(out, o);
        }
    }
    const cli_option help = {.name = "help", .letter = 'h', .help = "this page"};
    print_option(out, &help);
    if (!usage->examples) return;
    fprintf(out, "\n%sExamples%s\n", bold, plain);
    for (const char *line = usage->examples; *line;) {
        int n = (int)strcspn(line, "\n");
        fprintf(out, "  %.*s\n", n, line);
        line += n + (line[n] == '\n');
    }
}

/* --- complaints --- */

static int point_to_help(const cli_usage *usage) {
    fprintf(stderr, "See \"hone %s --help\".\n", usage->command);
    return CLI_USAGE;
}

int cli_wrong_use(const cli_usage *usage, const char *format, ...) {
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    cli_error("%s", sentence);
    return point_to_help(usage);
}

static int unknown_option(const cli_usage *usage, const char *name) {
    const char *names[MAX_OPTIONS + 2];
    size_t n = 0;
    for (const cli_option *o = usage->options; o->kind && n < MAX_OPTIONS; o++) {
        if (o->kind != CLI_KIND_HEADING) names[n++] = o->name;
    }
    names[n++] = "help";
    names[n] = NULL;
    const char *nearest = cli_nearest(name, names);
    if (nearest) {
        return cli_wrong_use(usage, "unknown option --%s; did you mean --%s?", name, nearest);
    }
    return cli_wrong_use(usage, "unknown option --%s", name);
}

/* --- values --- */

static bool parse_integer(const char *text, size_t n, int64_t *value) {
    char digits[24];
    if (n == 0 || n >= sizeof digits) return false;
    memcpy(digits, text, n);
    digits[n] = 0;
    if (!(digits[0] == '-' || (digits[0] >= '0' && digits[0] <= '9'))) return false;
    char *end;
    errno = 0;
    long long number = strtoll(digits, &end, 10);
    if (errno || end == digits || *end) return false;
    *value = number;
    return true;
}

static bool set_integer(const cli_option *option, const char *text, size_t n, int64_t *value) {
    int64_t number;
    bool may_be_auto = option->argument && strstr(option->argument, "|auto");
    if (may_be_auto && n == 4 && !memcmp(text, "auto", n)) {
        *value = CLI_UNSET;
        return true;
    }
    if (!parse_integer(text, n, &number)) {
        cli_error("--%s takes a whole number, not \"%.*s\"", option->name, (int)n, text);
        return false;
    }
    if ((double)number < option->low || (double)number > option->high) {
        cli_error("--%s takes a number from %.0f to %.0f, not %lld", option->name, option->low,
                  option->high, (long long)number);
        return false;
    }
    *value = number;
    return true;
}

static bool set_integers(const cli_option *option, const char *text) {
    cli_integers list = {.n = 0};
    for (;;) {
        size_t n = strcspn(text, ",");
        if (list.n == sizeof list.items / sizeof *list.items) {
            cli_error("--%s takes at most %zu numbers", option->name, list.n);
            return false;
        }
        if (!set_integer(option, text, n, &list.items[list.n++])) return false;
        if (!text[n]) break;
        text += n + 1;
    }
    *(cli_integers *)option->value = list;
    return true;
}

static bool set_real(const cli_option *option, const char *text) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number)) {
        cli_error("--%s takes a number, not \"%s\"", option->name, text);
        return false;
    }
    if (number < option->low || number > option->high) {
        cli_error("--%s takes a number from %g to %g, not %g", option->name, option->low,
                  option->high, number);
        return false;
    }
    *(double *)option->value = number;
    return true;
}

static bool set_choice(const cli_option *option, const char *text) {
    size_t n_text = strlen(text);
    const char *choice = option->argument;
    for (int index = 0;; index++) {
        size_t n = strcspn(choice, "|");
        if (n == n_text && !strncmp(choice, text, n)) {
            *(int *)option->value = index;
            return true;
        }
        if (!choice[n]) break;
        choice += n + 1;
    }
    cli_error("--%s takes one of %s, not \"%s\"", option->name, option->argument, text);
    return false;
}

static bool add_text(const cli_option *option, const char *text) {
    cli_texts *list = option->value;
    if (list->n == sizeof list->items / sizeof *list->items) {
        cli_error("--%s can be given at most %zu times", option->name, list->n);
        return false;
    }
    list->items[list->n++] = text;
    return true;
}

static bool set_value(const cli_option *option, const char *text) {
    switch (option->kind) {
    case CLI_KIND_FLAG: *(bool *)option->value = true; return true;
    case CLI_KIND_TEXT: *(const char **)option->value = text; return true;
    case CLI_KIND_TEXTS: return add_text(option, text);
    case CLI_KIND_INTEGER: return set_integer(option, text, strlen(text), option->value);
    case CLI_KIND_INTEGERS: return set_integers(option, text);
    case CLI_KIND_REAL: return set_real(option, text);
    case CLI_KIND_CHOICE: return set_choice(option, text);
    case CLI_KIND_END:
    case CLI_KIND_HEADING: break;
    }
    return false;
}

/* --- parsing --- */

const cli_option *cli_find_option(const cli_option *options, const char *name) {
    for (const cli_option *o = options; o->kind; o++) {
        if (o->kind != CLI_KIND_HEADING && !strcmp(o->name, name)) return o;
    }
    return NULL;
}

bool cli_set_option(const cli_option *option, const char *text) {
    return set_value(option, text);
}

/* `*next` is the argument behind the option; it is used up where the option takes a value and has
 * none attached. Returns CLI_PARSED or an exit code. */
static int parse_long(const cli_usage *usage, const char *text, char ***next) {
    char name[MAX_WORD];
    size_t n = strcspn(text, "=");
    if (n >= sizeof name) return cli_wrong_use(usage, "unknown option --%.20s…", text);
    memcpy(name, text, n);
    name[n] = 0;
    const char *attached = text[n] ? text + n + 1 : NULL;
    if (!strcmp(name, "help")) {
        print_help(stdout, usage);
        return CLI_OK;
    }
    const cli_option *option = cli_find_option(usage->options, name);
    if (!option) return unknown_option(usage, name);
    if (option->kind == CLI_KIND_FLAG) {
        if (attached) return cli_wrong_use(usage, "--%s takes no value", name);
    } else if (!attached) {
        attached = **next;
        if (!attached) return cli_wrong_use(usage, "--%s needs a value: --%s %s", name, name,
                                            option->argument);
        (*next)++;
    }
    return set_value(option, attached) ? CLI_PARSED : point_to_help(usage);
}

/* One argument of letters: flags may stand together, the last may have its value attached. */
static int parse_letters(const cli_usage *usage, const char *text, char ***next) {
    for (; *text; text++) {
        if (*text == 'h') {
            print_help(stdout, usage);
            return CLI_OK;
        }
        const cli_option *option = usage->options;
        while (option->kind && option->letter != *text) option++;
        if (!option->kind) return cli_wrong_use(usage, "unknown option -%c", *text);
        if (option->kind == CLI_KIND_FLAG) {
            set_value(option, NULL);
            continue;
        }
        const char *value = text[1] ? text + 1 : **next;
        if (!value) return cli_wrong_use(usage, "-%c needs a value: -%c %s", *text, *text,
                                         option->argument);
        if (!text[1]) (*next)++;
        return set_value(option, value) ? CLI_PARSED : point_to_help(usage);
    }
    return CLI_PARSED;
}

int cli_parse(const cli_usage *usage, int argc, char **argv, cli_operands *operands) {
    (void)argc;
    *operands = (cli_operands){.items = argv + 1, .n = 0};
    bool options_ended = false;
    for (char **next = argv + 1; *next;) {
        char *text = *next++;
        int code = CLI_PARSED;
        if (options_ended || text[0] != '-' || !text[1]) {
            operands->items[operands->n++] = text; /* never ahead of `next` */
        } else if (!strcmp(text, "--")) {
            options_ended = true;
        } else if (text[1] == '-') {
            code = parse_long(usage, text + 2, &next);
        } else {
            code = parse_letters(usage, text + 1, &next);
        }
        if (code != CLI_PARSED) return code;
    }
    if (operands->n < usage->min_operands) {
        int n = (int)strcspn(usage->operands, " …"); /* the name of the first one */
        return cli_wrong_use(usage, "%.*s is missing: hone %s %s", n, usage->operands,
                             usage->command, usage->operands);
    }
    if (operands->n > usage->max_operands) {
        const char *more = operands->items[usage->max_operands];
        const char *hint = strchr(more, ' ') ? "" : " (quote a text with spaces)";
        return cli_wrong_use(usage, "\"%s\" is one word too many%s", more, hint);
    }
    return CLI_PARSED;
}
