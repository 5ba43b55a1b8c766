#include "cli/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"

enum { MAX_SETTINGS_BYTES = 1 << 16, MAX_LINE_NAME = 64 };

/* Lists of a nearer source replace those of a farther one. */
static void forget_list(const cli_option *option) {
    if (option->kind == CLI_KIND_TEXTS) ((cli_texts *)option->value)->n = 0;
}

static bool set_flag(const cli_option *option, const char *text) {
    static const char *const yes[] = {"", "1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!strcmp(text, yes[i])) return *(bool *)option->value = true;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (!strcmp(text, no[i])) return !(*(bool *)option->value = false);
    cli_error("%s is true or false, not \"%s\"", option->name, text);
    return false;
}

static bool set(const cli_option *option, const char *text) {
    return option->kind == CLI_KIND_FLAG ? set_flag(option, text) : cli_set_option(option, text);
}

/* --- the file --- */

static char *trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) text[--n] = '\0';
    return text;
}

/* Ends at a hash that begins the line or stands behind a blank. */
static void cut_comment(char *line) {
    for (char *at = line; *at; at++)
        if (*at == '#' && (at == line || isspace((unsigned char)at[-1]))) {
            *at = '\0';
            return;
        }
}

static bool apply_line(const cli_option *options, char *line) {
    char *equals = strchr(line, '=');
    if (equals) *equals = '\0';
    const char *name = trim(line), *value = equals ? trim(equals + 1) : "";
    const cli_option *option = cli_find_option(options, name);
    if (!option || !strcmp(name, "config")) {
        cli_error("there is no setting \"%.40s\"", name);
        return false;
    }
    return set(option, value);
}

static int apply_file(settings_texts *s, const cli_option *options, const char *path) {
    hone_status status = fs_read_file(&s->file, path);
    if (status != HONE_OK) {
        cli_fail(status);
        return CLI_USAGE;
    }
    char *next = s->file.data;
    for (int number = 1; next; number++) {
        char *line = next;
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        cut_comment(line);
        if (!*trim(line) || apply_line(options, line)) continue;
        cli_error("%s:%d is wrong", path, number);
        return CLI_USAGE;
    }
    return CLI_PARSED;
}

/* --- the environment --- */

/* A copy that stays; NULL when memory is short. Room was reserved, so that nothing moves. */
static char *keep(settings_texts *s, const char *text) {
    size_t at = s->environment.len;
    if (buf_add(&s->environment, text, strlen(text) + 1) != HONE_OK) return NULL;
    return s->environment.data + at;
}

static bool apply_list(const cli_option *option, char *text) {
    char *save = NULL;
    forget_list(option);
    for (char *one = strtok_r(text, ",", &save); one; one = strtok_r(NULL, ",", &save))
        if (!set(option, trim(one))) return false;
    return true;
}

static int apply_variable(settings_texts *s, const char *variable, const cli_option *option) {
    const char *text = getenv(variable);
    if (!text || !*text || !option) return CLI_PARSED;
    char *copy = keep(s, text);
    if (!copy) {
        cli_error("%s is too long", variable);
        return CLI_USAGE;
    }
    if (option->kind == CLI_KIND_TEXTS ? apply_list(option, copy) : set(option, copy))
        return CLI_PARSED;
    cli_error("so says $%s", variable);
    return CLI_USAGE;
}

static int apply_own_variable(settings_texts *s, const cli_option *option) {
    char variable[MAX_LINE_NAME];
    int n = snprintf(variable, sizeof variable, "HONE_%s", option->name);
    if (n < 0 || (size_t)n >= sizeof variable) return CLI_PARSED;
    for (char *at = variable; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    return apply_variable(s, variable, option);
}

int settings_apply(settings_texts *s, const cli_option *options, const settings_alias *aliases,
                   size_t n_aliases, const char *path) {
    buf_init(&s->file, MAX_SETTINGS_BYTES);
    buf_init(&s->environment, MAX_SETTINGS_BYTES);
    if (buf_reserve(&s->environment, MAX_SETTINGS_BYTES - 1) != HONE_OK)
        return cli_fail(HONE_ERR_MEMORY);
    int code = path ? apply_file(s, options, path) : CLI_PARSED;
    for (size_t i = 0; i < n_aliases && code == CLI_PARSED; i++) {
        const settings_alias *a = &aliases[i];
        const char *text = getenv(a->variable);
        if (a->zero_means_default && text && !strcmp(text, "0")) continue;
        code = apply_variable(s, a->variable, cli_find_option(options, a->option));
    }
    for (const cli_option *o = options; o->kind && code == CLI_PARSED; o++)
        if (o->kind != CLI_KIND_HEADING) code = apply_own_variable(s, o);
    return code;
}

void settings_release(settings_texts *s) {
    buf_release(&s->file);
    buf_release(&s->environment);
}

const char *settings_peek(char **argv, const char *name) {
    size_t n = strlen(name);
    const char *found = NULL;
    for (char **a = argv; *a && strcmp(*a, "--") != 0; a++) {
        if (strncmp(*a, "--", 2) != 0 || strncmp(*a + 2, name, n) != 0) continue;
        if ((*a)[n + 2] == '=') found = *a + n + 3;
        else if (!(*a)[n + 2] && a[1]) found = a[1];
    }
    return found;
}
