/* Options from a settings file and from the environment, beside the command line. In order: the
 * command line, $HONE_NAME, the environment variables that another program has for the same, the
 * file, the default.
 *
 *     # what follows a hash is for people
 *     slots = 4                    as --slots 4
 *     allow-origin = https://a     as the option; once more for a second value
 *     quiet                        flags alone, or with true or false
 *
 * $HONE_KEEP_ALIVE is --keep-alive. Options that collect take several values between commas there;
 * the nearer source replaces the others' lists. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/buf.h"
#include "cli/options.h"

/* Another program's variable that means the same as an option. */
typedef struct settings_alias {
    const char *variable, *option;
    bool zero_means_default;
} settings_alias;

typedef struct settings_texts {
    buf file;        /* texts of options point into it */
    buf environment;
} settings_texts;

/* Fills what the options point at, before cli_parse does. `path` NULL: no file. Returns CLI_PARSED,
 * or CLI_USAGE after a complaint that names file and line, or the variable. */
int settings_apply(settings_texts *s, const cli_option *options, const settings_alias *aliases,
                   size_t n_aliases, const char *path);
void settings_release(settings_texts *s);

/* The value of `--name` in argv, for what has to be known before: NULL where it is not given. */
const char *settings_peek(char **argv, const char *name);

#endif
