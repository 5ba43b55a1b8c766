/* `hone quantize`: a GGUF file with its weights in another type. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/recoding.h"
#include "weights/quantise.h"

int cmd_quantize(int argc, char **argv) {
    recoding r = {.threads = CLI_UNSET};
    const cli_option options[] = {
        RECODING_OPTIONS(&r, "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_0, Q5_1, Q4_K_M, "
                             "Q4_K_S, IQ4_NL, IQ4_XS, Q4_0, Q4_1, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "quantize",
        .operands = "IN OUT",
        .about = "Writes the GGUF file IN as OUT with its weights in another type. A split file is "
                 "joined. OUT appears when it is complete.",
        .examples = "hone quantize model-f16.gguf model-q4.gguf --type Q4_K_M\n",
        .options = options,
        .min_operands = 2,
        .max_operands = 2};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!r.type) return cli_wrong_use(&usage, "to which type? --type says so");
    code = recoding_prepare(&r, &usage);
    if (code != CLI_PARSED) return code;

    const char *in = operands.items[0], *out = operands.items[1];
    quantise_result result;
    code = recoding_finish(quantise_gguf(in, out, r.mix, &r.options, &result));
    if (code != CLI_OK) return code;
    if (result.lossy_type)
        fprintf(stderr, "hone: warning: %s was quantised already (%s); what that lost is lost on "
                "top. Start from F16 or F32 where you can\n", in, result.lossy_type);
    cli_text before, after;
    printf("%s: %s, %s (from %s)\n", out, quant_mix_name(r.mix),
           cli_format_bytes(&after, result.out_bytes), cli_format_bytes(&before, result.in_bytes));
    return CLI_OK;
}
