/* `hone convert`: a Hugging Face folder as a GGUF file. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/recoding.h"
#include "weights/convert.h"

int cmd_convert(int argc, char **argv) {
    recoding r = {.threads = CLI_UNSET};
    const char *out = NULL;
    const cli_option options[] = {
        CLI_TEXT("output", 'o', &out, "FILE", "write this GGUF file"),
        RECODING_OPTIONS(&r, "type of the weights, as for hone quantize (default: the folder's)"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "convert",
        .operands = "FOLDER",
        .about = "Writes a Hugging Face folder (config.json, tokenizer.json, safetensors) as one "
                 "GGUF file, tokenizer and chat template included. The file appears when it is "
                 "complete.",
        .examples = "hone convert ./SmolLM2-135M-Instruct -o smollm2.gguf\n"
                    "hone convert ./SmolLM2-135M-Instruct --type Q8_0 -o smollm2-q8.gguf\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!out) return cli_wrong_use(&usage, "where to? -o FILE says so");
    code = recoding_prepare(&r, &usage);
    if (code != CLI_PARSED) return code;

    convert_result result;
    code = recoding_finish(convert_folder(operands.items[0], out, r.mix, &r.options, &result));
    if (code != CLI_OK) return code;
    cli_text size;
    printf("%s: %s, %zu tensors, %s\n", out, result.architecture, result.n_tensors,
           cli_format_bytes(&size, result.out_bytes));
    return CLI_OK;
}
