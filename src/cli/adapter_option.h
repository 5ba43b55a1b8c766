/* The option `--adapter FILE[:scale]` of `run`, `bench` and `merge`. */
#ifndef CLI_ADAPTER_OPTION_H
#define CLI_ADAPTER_OPTION_H

#include "base/fs.h"
#include "cli/options.h"
#include "hone/hone.h"

#define ADAPTER_OPTION(texts, help) CLI_TEXTS("adapter", 0, texts, "FILE[:scale]", help)

typedef struct adapter_choice {
    fs_path path;
    float scale; /* 1 where none was given */
} adapter_choice;

/* Takes one value apart: what stands behind the last colon is the scale where it is a number and
 * no file has the whole name. Tells what is wrong; returns CLI_OK or an exit code. */
int adapter_option_read(adapter_choice *choice, const char *text);

/* What the option named, open. */
typedef struct adapter_list {
    hone_adapter *items[HONE_MAX_ADAPTERS];
    float scales[HONE_MAX_ADAPTERS];
    size_t n;
} adapter_list;

/* Opens them all for the model; tells what is wrong. Returns an exit code; close the list in any
 * case. */
int adapter_option_open(adapter_list *list, const cli_texts *texts, const hone_model *model);
void adapter_option_close(adapter_list *list);

/* Opens the adapters for the model and hands them to the session. Returns an exit code. */
int adapter_option_apply(const cli_texts *texts, hone_model *model, hone_session *session);

#endif
