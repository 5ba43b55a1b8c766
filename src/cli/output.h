/* Printing: tables and JSON on stdout, colours and progress where a person watches. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* --- colours: "" unless the stream is a terminal, NO_COLOR is unset or empty and TERM is not
 * "dumb" --- */
typedef enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_RED, CLI_GREEN, CLI_CYAN } cli_colour;
bool cli_is_terminal(FILE *stream);
const char *cli_colour_code(FILE *stream, cli_colour colour);

/* --- quantities as people read them; each fills and returns `text` --- */
typedef struct cli_text {
    char text[48];
} cli_text;
const char *cli_format_bytes(cli_text *t, uint64_t bytes);   /* "93.8 MiB" */
/* The way back: "16G", "1.5 GiB", "900M", "4096"; K, M, G and T count in 1024s. False for anything
 * else, and for 0. */
bool cli_parse_bytes(const char *text, uint64_t *bytes);
const char *cli_format_count(cli_text *t, uint64_t count);   /* "134.5 M" */
const char *cli_format_ms(cli_text *t, double milliseconds); /* "812 µs", "74 ms", "1.24 s" */

/* Copies `text` with control characters shown as U+FFFD: what files say about themselves must not
 * steer a terminal. NULL (with words) when memory is short; freed with mem_free. */
char *cli_printable(const char *text);

/* --- tables on stdout: cells are added row by row, cli_table_print aligns the columns --- */
typedef struct cli_table {
    size_t n_columns;
    const char *align; /* one letter a column: 'l' or 'r' */
    char **cells;
    size_t n_cells, capacity;
    bool failed;
} cli_table;

/* `headers` (n_columns of them) may be NULL. Memory trouble is remembered and told by print. */
void cli_table_init(cli_table *table, const char *align, const char *const *headers);
void cli_table_add(cli_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees; the second as a table of Markdown, whose signs in the cells stay signs. Both
 * return an exit code. */
int cli_table_print(cli_table *table);
int cli_table_print_markdown(cli_table *table);

/* --- JSON: prints `root` on stdout, one line when `compact`, and drops the reference. Returns an
 * exit code; NULL (memory was short while building) is a failure. --- */
int cli_print_json(json_t *root, bool compact);
/* A JSON string of what may be no UTF-8 (a path, what a file says about itself); NULL when memory
 * is short. */
json_t *cli_json_text(const char *text);

/* --- progress: one line on stderr that is rewritten; silent unless stderr is a terminal --- */
void cli_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "label  41.2 MiB of 93.8 MiB  12.1 MiB/s"; redraws at most ten times a second. */
void cli_progress_bytes(const char *label, uint64_t done, uint64_t total);
void cli_progress_clear(void); /* leaves no trace of it */

/* --- stdout --- */
/* Writes and flushes, for text that is read while it grows. False when that fails; the reason is
 * kept for cli_finish_output. */
bool cli_write(const char *text, size_t n_bytes);

/* Flushes. A failed write ends in a sentence and CLI_FAILED; a reader that has gone away
 * (`| head`) ends the program quietly, by SIGPIPE as every filter does. Returns an exit code. */
int cli_finish_output(void);

#endif
