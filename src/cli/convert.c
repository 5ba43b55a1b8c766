/* `hone convert`: a Hugging Face folder as a GGUF file, and the way back. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/recoding.h"
#include "weights/convert.h"
#include "weights/export.h"

static int tell(const char *out, const char *architecture, size_t n_tensors, uint64_t bytes) {
    cli_text size;
    printf("%s: %s, %zu tensors, %s\n", out, architecture, n_tensors,
           cli_format_bytes(&size, bytes));
    return CLI_OK;
}

static int to_a_file(const char *folder, const recoding *r) {
    convert_result result;
    int code = recoding_finish(convert_folder(folder, r->out, r->mix, &r->options, &result));
    return code != CLI_OK ? code : tell(r->out, result.architecture, result.n_tensors,
                                        result.out_bytes);
}

static int to_a_folder(const char *file, const recoding *r) {
    export_result result;
    size_t n = strlen(r->out);
    if (n > 5 && !strcmp(r->out + n - 5, ".gguf")) {
        cli_error("%s is a file already, of which convert makes a folder; hone quantize changes "
                  "the types of a GGUF file", file);
        return CLI_USAGE;
    }
    const export_options options = {.recode = r->options, .type = r->type};
    int code = recoding_finish(export_gguf(file, r->out, &options, &result));
    if (code == CLI_OK && result.no_tokenizer[0])
        fprintf(stderr, "hone: warning: no tokenizer.json: %s\n", result.no_tokenizer);
    return code != CLI_OK ? code : tell(r->out, result.architecture, result.n_tensors,
                                        result.out_bytes);
}

int cmd_convert(int argc, char **argv) {
    recoding r = {.threads = CLI_UNSET};
    const cli_option options[] = {
        RECODING_OUTPUT(&r, "write this GGUF file, or this folder"),
        RECODING_OPTIONS(&r, "type of the weights, as for hone quantize (default: the folder's)"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "convert",
        .operands = "FOLDER|FILE",
        .about = "Writes a Hugging Face folder (config.json, tokenizer.json, safetensors) as one "
                 "GGUF file, tokenizer and chat template included; or a GGUF file as such a "
                 "folder, weights as F32, F16 or BF16. The output appears when it is "
                 "complete.",
        .examples = "hone convert ./SmolLM2-135M-Instruct -o smollm2.gguf\n"
                    "hone convert ./SmolLM2-135M-Instruct --type Q8_0 -o smollm2-q8.gguf\n"
                    "hone convert smollm2-q8.gguf -o ./smollm2 --type F32\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1};
    cli_operands operands;
    int code = recoding_parse(&r, &usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;

    struct stat st;
    const char *in = operands.items[0];
    bool to_folder = stat(in, &st) == 0 && S_ISREG(st.st_mode);
    return to_folder ? to_a_folder(in, &r) : to_a_file(in, &r);
}
