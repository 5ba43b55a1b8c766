/* `hone merge`: a model and its adapters as one GGUF file. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/adapter_option.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/output.h"
#include "cli/recoding.h"
#include "weights/convert.h"
#include "weights/quantise.h"
#include "weights/store.h"

static hone_status merge(const char *path, const recoding *r, uint64_t *out_bytes) {
    struct stat st;
    convert_result converted = {0};
    quantise_result quantised = {0};
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    hone_status status = is_folder ? convert_folder(path, r->out, r->mix, &r->options, &converted)
                                   : quantise_gguf(path, r->out, r->mix, &r->options, &quantised);
    *out_bytes = is_folder ? converted.out_bytes : quantised.out_bytes;
    return status;
}

static int merge_all(const char *name, const cli_texts *texts, recoding *r) {
    adapter_choice choices[HONE_MAX_ADAPTERS];
    merge_adapter adapters[HONE_MAX_ADAPTERS];
    for (size_t i = 0; i < texts->n; i++) {
        int code = adapter_option_read(&choices[i], texts->items[i]);
        if (code != CLI_OK) return code;
        adapters[i] = (merge_adapter){choices[i].path.text, choices[i].scale};
    }
    r->options.adapters = adapters;
    r->options.n_adapters = texts->n;
    char *path;
    uint64_t bytes = 0;
    hone_status status = store_resolve(name, &path);
    if (status != HONE_OK) return engine_fail_model(status, name);
    int code = recoding_finish(merge(path, r, &bytes));
    mem_free(path);
    if (code != CLI_OK) return code;
    cli_text size;
    printf("%s: %s with %zu adapter%s, %s\n", r->out, name, texts->n, texts->n == 1 ? "" : "s",
           cli_format_bytes(&size, bytes));
    return CLI_OK;
}

int cmd_merge(int argc, char **argv) {
    recoding r = {.threads = CLI_UNSET};
    cli_texts adapters = {.n = 0};
    const cli_option options[] = {
        ADAPTER_OPTION(&adapters, "add this adapter (PEFT folder or GGUF), at this scale "
                                  "(default 1); repeatable"),
        RECODING_OUTPUT(&r, "write this GGUF file"),
        RECODING_OPTIONS(&r, "type of the weights, as for hone quantize (default: the model's)"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "merge",
        .operands = "MODEL",
        .about = "Writes a model with adapters (LoRA) added to its weights as one GGUF file, which "
                 "then needs no adapter. Weights that are quantised are quantised again; merge "
                 "into F16 where you can. The file appears when it is complete.",
        .examples = "hone merge base.gguf --adapter ./my-lora -o mine.gguf\n"
                    "hone merge ./base-folder --adapter a.gguf:0.5 --adapter b.gguf --type Q4_K_M "
                    "-o mine.gguf\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1};
    cli_operands operands;
    int code = recoding_parse(&r, &usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (adapters.n == 0) return cli_wrong_use(&usage, "which adapter? --adapter FILE says so");
    if (adapters.n > HONE_MAX_ADAPTERS)
        return cli_wrong_use(&usage, "--adapter can be given at most %d times", HONE_MAX_ADAPTERS);
    return merge_all(operands.items[0], &adapters, &r);
}
