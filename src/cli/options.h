/* Command-line options as a table, from which both the parser and `--help` are made.
 *
 *     bool json = false;
 *     int64_t threads = CLI_UNSET;
 *     const cli_option options[] = {
 *         CLI_INTEGER("threads", 't', &threads, "N", 1, 1024, "compute threads"),
 *         CLI_FLAG("json", 0, &json, "print one JSON object"),
 *         CLI_OPTIONS_END,
 *     };
 *     const cli_usage usage = {.command = "show", .operands = "MODEL", .about = "…",
 *                              .options = options, .min_operands = 1, .max_operands = 1};
 *     int code = cli_parse(&usage, argc, argv, &operands);
 *     if (code != CLI_PARSED) return code;
 *
 * Long options take `--name value` and `--name=value`, letters `-t 4` and `-t4`; options and
 * operands mix; `--` ends the options. `--help` and `-h` need no row. A later option overrides an
 * earlier one, except for the kinds that collect. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a number holds when its option was not given: CLI_UNSET for integers, NAN for reals. */
#define CLI_UNSET INT64_MIN

/* Collecting kinds; more values than fit are refused with a sentence. */
typedef struct cli_texts {
    const char *items[32];
    size_t n;
} cli_texts;

typedef struct cli_integers {
    int64_t items[16];
    size_t n;
} cli_integers;

typedef enum cli_option_kind {
    CLI_KIND_END = 0,
    CLI_KIND_HEADING,  /* a line of its own in the help */
    CLI_KIND_FLAG,     /* bool */
    CLI_KIND_TEXT,     /* const char *, points into argv */
    CLI_KIND_TEXTS,    /* cli_texts, repeatable */
    CLI_KIND_INTEGER,  /* int64_t within low … high; "auto" = CLI_UNSET where `argument` names it */
    CLI_KIND_INTEGERS, /* cli_integers, "1,8,64" */
    CLI_KIND_REAL,     /* double within low … high */
    CLI_KIND_CHOICE    /* int: the index in "first|second|third" */
} cli_option_kind;

typedef struct cli_option {
    cli_option_kind kind;
    const char *name;     /* without dashes */
    char letter;          /* 0 = none */
    void *value;          /* of the type that `kind` says; keeps its content where not given */
    const char *argument; /* its name in the help; the choices of CLI_KIND_CHOICE */
    double low, high;
    const char *help;
} cli_option;

#define CLI_FLAG(name, letter, value, help) {CLI_KIND_FLAG, name, letter, value, NULL, 0, 0, help}
#define CLI_TEXT(name, letter, value, argument, help) \
    {CLI_KIND_TEXT, name, letter, value, argument, 0, 0, help}
#define CLI_TEXTS(name, letter, value, argument, help) \
    {CLI_KIND_TEXTS, name, letter, value, argument, 0, 0, help}
#define CLI_INTEGER(name, letter, value, argument, low, high, help) \
    {CLI_KIND_INTEGER, name, letter, value, argument, low, high, help}
#define CLI_INTEGERS(name, letter, value, argument, low, high, help) \
    {CLI_KIND_INTEGERS, name, letter, value, argument, low, high, help}
#define CLI_REAL(name, letter, value, argument, low, high, help) \
    {CLI_KIND_REAL, name, letter, value, argument, low, high, help}
#define CLI_CHOICE(name, letter, value, choices, help) \
    {CLI_KIND_CHOICE, name, letter, value, choices, 0, 0, help}
#define CLI_HEADING(text) {CLI_KIND_HEADING, text, 0, NULL, NULL, 0, 0, NULL}
#define CLI_OPTIONS_END {CLI_KIND_END, NULL, 0, NULL, NULL, 0, 0, NULL}

typedef struct cli_usage {
    const char *command;  /* "run"; NULL for the program itself */
    const char *operands; /* "MODEL [PROMPT]"; NULL = none */
    const char *about;    /* one or more paragraphs */
    const char *examples; /* lines of shell, or NULL */
    const cli_option *options;
    size_t min_operands, max_operands;
} cli_usage;

typedef struct cli_operands {
    char **items; /* operands in their order, within argv */
    size_t n;
} cli_operands;

/* cli_parse's word for "go on". */
#define CLI_PARSED (-1)

/* Fills the values that the table points at, moves the operands to the front of argv[1…]. Returns
 * CLI_PARSED, or the exit code to end with: CLI_OK after `--help`, CLI_USAGE after a complaint. */
int cli_parse(const cli_usage *usage, int argc, char **argv, cli_operands *operands);

/* The complaint for wrong use that only the command can see: the sentence, then where the help is.
 * Returns CLI_USAGE. */
int cli_wrong_use(const cli_usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* For settings that change while the program runs (chat's /set): the row of that name, or NULL; and
 * its value set from text, with the same complaints on stderr. */
const cli_option *cli_find_option(const cli_option *options, const char *name);
bool cli_set_option(const cli_option *option, const char *text);

#endif
