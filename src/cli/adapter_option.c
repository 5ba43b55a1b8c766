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

static int open_next(adapter_list *list, const char *text, const hone_model *model) {
    adapter_choice choice;
    int code = adapter_option_read(&choice, text);
    if (code != CLI_OK) return code;
    hone_status status = hone_adapter_open(&list->items[list->n], model, choice.path.text);
    if (status != HONE_OK) return cli_fail(status);
    list->scales[list->n++] = choice.scale;
    return CLI_OK;
}

int adapter_option_open(adapter_list *list, const cli_texts *texts, const hone_model *model) {
    list->n = 0;
    if (texts->n > HONE_MAX_ADAPTERS) {
        cli_error("--adapter can be given at most %d times", HONE_MAX_ADAPTERS);
        return CLI_USAGE;
    }
    int code = CLI_OK;
    for (size_t i = 0; i < texts->n && code == CLI_OK; i++)
        code = open_next(list, texts->items[i], model);
    return code;
}

void adapter_option_close(adapter_list *list) {
    while (list->n > 0) hone_adapter_close(list->items[--list->n]);
}

int adapter_option_apply(const cli_texts *texts, hone_model *model, hone_session *session) {
    adapter_list list;
    int code = adapter_option_open(&list, texts, model);
    if (code == CLI_OK && list.n > 0) {
        hone_status status = hone_session_set_adapters(session, list.items, list.scales, list.n);
        if (status != HONE_OK) code = cli_fail(status);
    }
    adapter_option_close(&list); /* the session keeps what it uses */
    return code;
}
