/* `hone calibrate`: importance data for quantising, from a text. */
#include "weights/calibrate.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "weights/fidelity.h"
#include "weights/recode.h"

enum { MAX_TEXT_BYTES = 1 << 30 };

static bool on_progress(void *context, size_t done, size_t total) {
    (void)context;
    cli_progress("read %zu of %zu tokens", done, total);
    return !interrupt_seen();
}

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static hone_status calibrate(hone_model *model, const char *text_path, const char *out,
                             int64_t tokens, imatrix *m) {
    buf file;
    buf_init(&file, MAX_TEXT_BYTES);
    hone_status status = text_path ? fs_read_file(&file, text_path) : HONE_OK;
    const char *text = text_path ? (file.data ? file.data : "") : own_text(1);
    const calibrate_options options = {
        .n_tokens = tokens == CLI_UNSET ? 0 : (size_t)tokens,
        .dataset = text_path ? file_name(text_path) : own_text_name[1],
        .observe = on_progress,
    };
    if (status == HONE_OK)
        status = calibrate_model(m, model, text, text_path ? file.len : strlen(text), &options);
    buf_release(&file);
    if (status != HONE_OK) return status;
    status = imatrix_write(m, out);
    if (status != HONE_OK) imatrix_release(m);
    return status;
}

static int run(const char *name, const char *text_path, const char *out, int64_t tokens,
               int64_t threads, bool replace) {
    hone_model *model;
    imatrix m;
    hone_status status = recode_check_output(out, text_path ? text_path : name, replace);
    if (status != HONE_OK) return cli_fail(status);
    int code = engine_open_model(&model, name, threads);
    if (code != CLI_OK) return code;
    interrupt_arm(NULL);
    status = calibrate(model, text_path, out, tokens, &m);
    interrupt_disarm();
    cli_progress_clear();
    hone_model_close(model);
    if (status != HONE_OK) return cli_fail(status);
    printf("%s: %zu matrices, %.0f tokens of %s\n", out, m.n,
           m.n > 0 ? (double)m.entries[0].counts[0] : 0.0, m.dataset);
    imatrix_release(&m);
    return CLI_OK;
}

int cmd_calibrate(int argc, char **argv) {
    const char *text_path = NULL, *out = NULL;
    int64_t tokens = CLI_UNSET, threads = CLI_UNSET;
    bool replace = false;
    const cli_option options[] = {
        CLI_TEXT("text", 0, &text_path, "FILE",
                 "the text; some hundred thousand tokens of what the model is for are best (default: "
                 "a short one of hone's own)"),
        CLI_TEXT("output", 'o', &out, "FILE", "write the importance data here"),
        CLI_INTEGER("tokens", 'n', &tokens, "N", 1, 1 << 30, "read only so many tokens"),
        CLI_INTEGER("threads", 't', &threads, "N", 1, 1024,
                    "compute threads (default: $HONE_THREADS, or one for each usable core)"),
        CLI_FLAG("force", 0, &replace, "replace the output if it exists"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "calibrate",
        .operands = "MODEL",
        .about = "Lets MODEL read a text and writes how strongly each column of its matrices is used: "
                 "importance data for hone quantize --imatrix, in the form that llama.cpp reads too.",
        .examples = "hone calibrate model-f16.gguf --text book.txt -o model.imatrix\n"
                    "hone quantize model-f16.gguf model-q4.gguf --type Q4_K_M --imatrix "
                    "model.imatrix\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!out) return cli_wrong_use(&usage, "where to? -o FILE says so");
    return run(operands.items[0], text_path, out, tokens, threads, replace);
}
