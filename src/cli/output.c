/* Printing: colours, quantities, tables, JSON, the progress line. */
#include "cli/output.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/system.h"
#include "base/utf8.h"
#include "cli/cli.h"

enum { MAX_CELL = 4096, MAX_PRINTABLE = 1 << 20, PROGRESS_INTERVAL_MS = 100 };

/* --- colours --- */

bool cli_is_terminal(FILE *stream) {
    return isatty(fileno(stream));
}

const char *cli_colour_code(FILE *stream, cli_colour colour) {
    static const char *const codes[] = {
        [CLI_PLAIN] = "\033[0m", [CLI_BOLD] = "\033[1m",   [CLI_DIM] = "\033[2m",
        [CLI_RED] = "\033[31m",  [CLI_GREEN] = "\033[32m", [CLI_CYAN] = "\033[36m",
    };
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if ((no_color && *no_color) || !term || !strcmp(term, "dumb")) return "";
    return cli_is_terminal(stream) ? codes[colour] : "";
}

/* --- quantities --- */

const char *cli_format_bytes(cli_text *t, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) value /= 1024, unit++;
    snprintf(t->text, sizeof t->text, unit && value < 1000 ? "%.1f %s" : "%.0f %s", value,
             units[unit]);
    return t->text;
}

bool cli_parse_bytes(const char *text, uint64_t *bytes) {
    static const char letters[] = "KMGT";
    char *end;
    double number = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;
    if (!(number > 0)) return false;
    end += strspn(end, " ");
    const char *letter = *end ? strchr(letters, *end >= 'a' ? *end - 32 : *end) : NULL;
    if (letter) {
        for (const char *l = letters; l <= letter; l++) number *= 1024;
        end++;
        if (*end == 'i') end++;
    }
    if (*end == 'B' || *end == 'b') end++;
    if (*end || !(number < 0x1p62) || number < 1) return false;
    *bytes = (uint64_t)number;
    return true;
}

const char *cli_format_count(cli_text *t, uint64_t count) {
    static const char *const units[] = {"", " K", " M", " G", " T", " P", " E"};
    double value = (double)count;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof *units) value /= 1000, unit++;
    snprintf(t->text, sizeof t->text, unit ? "%.1f%s" : "%.0f%s", value, units[unit]);
    return t->text;
}

const char *cli_format_ms(cli_text *t, double milliseconds) {
    if (milliseconds < 1) {
        snprintf(t->text, sizeof t->text, "%.0f µs", milliseconds * 1000);
    } else if (milliseconds < 10) {
        snprintf(t->text, sizeof t->text, "%.1f ms", milliseconds);
    } else if (milliseconds < 1000) {
        snprintf(t->text, sizeof t->text, "%.0f ms", milliseconds);
    } else {
        snprintf(t->text, sizeof t->text, "%.2f s", milliseconds / 1000);
    }
    return t->text;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

char *cli_printable(const char *text) {
    size_t n = strlen(text);
    buf out;
    buf_init(&out, MAX_PRINTABLE);
    hone_status status = buf_reserve(&out, 1);
    for (size_t at = 0; at < n && status == HONE_OK;) {
        uint32_t code;
        size_t length = utf8_decode(text + at, n - at, &code);
        bool shown = code != UTF8_INVALID && !is_control(code);
        status = shown ? buf_add(&out, text + at, length) : buf_add_text(&out, "\uFFFD");
        at += length;
    }
    char *copy = status == HONE_OK ? buf_take(&out) : NULL;
    buf_release(&out);
    return copy;
}

/* --- tables --- */

void cli_table_init(cli_table *table, const char *align, const char *const *headers) {
    *table = (cli_table){.n_columns = strlen(align), .align = align};
    for (size_t i = 0; headers && i < table->n_columns; i++) {
        cli_table_add(table, "%s", headers[i]);
    }
}

void cli_table_add(cli_table *table, const char *format, ...) {
    char text[MAX_CELL];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (mem_grow(&table->cells, &table->capacity, table->n_cells + 1, sizeof *table->cells,
                 "table") != HONE_OK) {
        table->failed = true;
        return;
    }
    char *cell = cli_printable(text);
    if (!cell) table->failed = true;
    else table->cells[table->n_cells++] = cell;
}

/* Columns that a text takes on a terminal. */
static size_t display_width(const char *text) {
    size_t width = 0, n = strlen(text);
    for (size_t at = 0; at < n;) {
        uint32_t code;
        at += utf8_decode(text + at, n - at, &code);
        int columns = code == UTF8_INVALID ? 1 : utf8proc_charwidth((utf8proc_int32_t)code);
        width += columns > 0 ? (size_t)columns : 0;
    }
    return width;
}

static void print_row(const cli_table *table, char *const *cells, const size_t *widths) {
    for (size_t i = 0; i < table->n_columns; i++) {
        size_t padding = widths[i] - display_width(cells[i]);
        bool right = table->align[i] == 'r', last = i + 1 == table->n_columns;
        printf("%s%*s%s", i ? "  " : "", right ? (int)padding : 0, "", cells[i]);
        if (!right && !last) printf("%*s", (int)padding, "");
    }
    putchar('\n');
}

static int free_table(cli_table *table, bool failed) {
    for (size_t i = 0; i < table->n_cells; i++) mem_free(table->cells[i]);
    mem_free(table->cells);
    *table = (cli_table){.n_columns = table->n_columns, .align = table->align};
    if (failed) cli_error("not enough memory to print a table");
    return failed ? CLI_FAILED : CLI_OK;
}

static void print_markdown_row(const cli_table *table, char *const *cells) {
    for (size_t i = 0; i < table->n_columns; i++) {
        fputs("| ", stdout);
        for (const char *c = cells[i]; *c; c++)
            printf("%s%c", strchr("\\`*_[]|<>", *c) ? "\\" : "", *c);
        putchar(' ');
    }
    puts("|");
}

int cli_table_print_markdown(cli_table *table) {
    for (size_t i = 0; i + table->n_columns <= table->n_cells && !table->failed;
         i += table->n_columns) {
        print_markdown_row(table, table->cells + i);
        for (size_t k = 0; i == 0 && k < table->n_columns; k++)
            fputs(table->align[k] == 'r' ? "|---:" : "|---", stdout);
        if (i == 0) puts("|");
    }
    return free_table(table, table->failed);
}

int cli_table_print(cli_table *table) {
    enum { MAX_COLUMNS = 32 };
    size_t widths[MAX_COLUMNS] = {0};
    bool failed = table->failed || table->n_columns > MAX_COLUMNS;
    for (size_t i = 0; i < table->n_cells && !failed; i++) {
        size_t width = display_width(table->cells[i]), *widest = &widths[i % table->n_columns];
        if (width > *widest) *widest = width;
    }
    for (size_t i = 0; i + table->n_columns <= table->n_cells && !failed; i += table->n_columns) {
        print_row(table, table->cells + i, widths);
    }
    return free_table(table, failed);
}

/* --- JSON --- */

int cli_print_json(json_t *root, bool compact) {
    size_t flags = JSON_REAL_PRECISION(12) | (compact ? JSON_COMPACT : JSON_INDENT(2));
    bool printed = root && json_dumpf(root, stdout, flags) == 0;
    json_decref(root);
    if (!printed && !ferror(stdout)) {
        cli_error("not enough memory to print JSON");
        return CLI_FAILED;
    }
    putchar('\n');
    return cli_finish_output();
}

json_t *cli_json_text(const char *text) {
    char *printable = cli_printable(text);
    json_t *string = printable ? json_string(printable) : NULL;
    mem_free(printable);
    return string;
}

/* --- progress --- */

static bool progress_shown;
static double progress_drawn_ms = -PROGRESS_INTERVAL_MS;

static bool progress_wanted(void) {
    static int wanted = -1;
    const char *term = getenv("TERM");
    if (wanted < 0) wanted = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    return wanted;
}

void cli_progress(const char *format, ...) {
    if (!progress_wanted()) return;
    fputs("\r\033[K", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    progress_shown = true;
}

void cli_progress_bytes(const char *label, uint64_t done, uint64_t total) {
    static double start_ms;
    static uint64_t start_bytes;
    double now = clock_ms();
    if (!progress_shown) {
        start_ms = now;
        start_bytes = done;
    }
    if (now - progress_drawn_ms < PROGRESS_INTERVAL_MS) return;
    progress_drawn_ms = now;
    cli_text have, all, rate;
    double seconds = (now - start_ms) / 1000;
    double per_second = seconds > 0 ? (double)(done - start_bytes) / seconds : 0;
    cli_progress("%s  %s of %s  %s/s", label, cli_format_bytes(&have, done),
                 cli_format_bytes(&all, total), cli_format_bytes(&rate, (uint64_t)per_second));
}

void cli_progress_clear(void) {
    if (!progress_shown) return;
    progress_drawn_ms = -PROGRESS_INTERVAL_MS;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress_shown = false;
}

/* --- stdout --- */

static int write_errno;

bool cli_write(const char *text, size_t n_bytes) {
    if (write_errno) return false;
    errno = 0;
    if (fwrite(text, 1, n_bytes, stdout) == n_bytes && fflush(stdout) == 0) return true;
    write_errno = errno ? errno : EIO;
    return false;
}

int cli_finish_output(void) {
    cli_write("", 0);
    if (ferror(stdout) && !write_errno) write_errno = EIO;
    if (!write_errno) return CLI_OK;
    if (write_errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    static bool told;
    if (!told) cli_error("cannot write to standard output: %s", strerror(write_errno));
    told = true;
    return CLI_FAILED;
}
