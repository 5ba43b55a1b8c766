#include "cli/adapter_option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int adapter_option_read(adapter_choice *choice, const char *text) {
    const char *colon = access(text, F_OK) == 0 ? NULL : strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    choice->scale = 1;
    if (colon) {
        char *end;
        choice->scale = strtof(colon + 1, &end);
        if (end == colon + 1 || *end || !isfinite(choice->scale)) {
            cli_error("--adapter %s: \"%s\" is no scale; write FILE or FILE:0.5", text, colon + 1);
            return CLI_USAGE;
        }
    }
    hone_status status = fs_path_format(&choice->path, "%.*s", (int)n, text);
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

static int open_one(hone_adapter **adapter, float *scale, const char *text,
                    const hone_model *model) {
    adapter_choice choice;
    int code = adapter_option_read(&choice, text);
    if (code != CLI_OK) return code;
    *scale = choice.scale;
    hone_status status = hone_adapter_open(adapter, model, choice.path.text);
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

int adapter_option_apply(const cli_texts *texts, hone_model *model, hone_session *session) {
    hone_adapter *adapters[HONE_MAX_ADAPTERS];
    float scales[HONE_MAX_ADAPTERS];
    size_t n = 0;
    int code = CLI_OK;
    if (texts->n > HONE_MAX_ADAPTERS) {
        cli_error("--adapter can be given at most %d times", HONE_MAX_ADAPTERS);
        return CLI_USAGE;
    }
    while (n < texts->n && code == CLI_OK) {
        code = open_one(&adapters[n], &scales[n], texts->items[n], model);
        if (code == CLI_OK) n++;
    }
    if (code == CLI_OK && n > 0) {
        hone_status status = hone_session_set_adapters(session, adapters, scales, n);
        if (status != HONE_OK) code = cli_fail(status);
    }
    while (n > 0) hone_adapter_close(adapters[--n]); /* the session keeps what it uses */
    return code;
}
