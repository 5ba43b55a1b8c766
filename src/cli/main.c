/* `hone`: finds the command and hands over. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"

enum { CLI_MAX_WORDS = 1024 };

static int cmd_help(int argc, char **argv);

const cli_command cli_commands[] = {
    {"run", "ask a model once, or chat with it at a terminal", cmd_run},
    {"ask", "answer one question, written or spoken", cmd_ask},
    {"transcribe", "turn speech into text, subtitles or JSON", cmd_transcribe},
    {"strategies", "what `hone run --strategy` takes", cmd_strategies},
    {"serve", "answer over HTTP, as OpenAI's and Ollama's APIs do", cmd_serve},
    {"ps", "what a running server has loaded", cmd_ps},
    {"stop", "close a model that a running server has loaded", cmd_stop},
    {"pull", "fetch a model into the local store", cmd_pull},
    {"list", "the models in the local store", cmd_list},
    {"show", "what a model is, and the memory it needs", cmd_show},
    {"plan", "which model fits into the memory, and how", cmd_plan},
    {"cp", "give a model a second name", cmd_cp},
    {"rm", "remove a model from the local store", cmd_rm},
    {"verify", "compare the files of models with their hashes", cmd_verify},
    {"prune", "remove what nothing needs any more", cmd_prune},
    {"convert", "write a Hugging Face folder as a GGUF file, or back", cmd_convert},
    {"calibrate", "importance data for quantising, from a text", cmd_calibrate},
    {"quantize", "write a GGUF file with its weights in another type", cmd_quantize},
    {"fidelity", "what a model lost against its original", cmd_fidelity},
    {"merge", "add adapters to a model's weights, as one GGUF file", cmd_merge},
    {"bench", "measure a model's speed on this machine", cmd_bench},
    {"eval", "how well a model does tasks, with intervals", cmd_eval},
    {"compare", "models, quantisations or strategies beside each other", cmd_compare},
    {"tasks", "the tasks that eval knows", cmd_tasks},
    {"tune", "find the settings that are best on this machine", cmd_tune},
    {"route", "which model should answer a prompt, and why", cmd_route},
    {"prompt", "a task's prompt: shown, tested, tuned", cmd_prompt},
    {"results", "what was measured: list, compare, delete", cmd_results},
    {"report", "results as tables, Markdown or a page with plots", cmd_report},
    {"version", "version; with --verbose, processor features and libraries", cmd_version},
    {"help", "this page, or the page of a command", cmd_help},
    {NULL, NULL, NULL},
};

void cli_error(const char *format, ...) {
    cli_progress_clear();
    fputs("hone: ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int cli_fail(hone_status status) {
    if (status == HONE_ERR_CANCELLED) {
        cli_progress_clear();
        return CLI_INTERRUPTED;
    }
    cli_error("%s", hone_error_message());
    return status == HONE_ERR_ARGUMENT ? CLI_USAGE : CLI_FAILED;
}

static const cli_command *find_command(const char *name) {
    for (const cli_command *c = cli_commands; c->name; c++) {
        if (!strcmp(c->name, name)) return c;
    }
    return NULL;
}

/* The page for somebody who has never seen hone. */
static void print_overview(FILE *out) {
    const char *bold = cli_colour_code(out, CLI_BOLD), *plain = cli_colour_code(out, CLI_PLAIN);
    fprintf(out,
            "hone runs language models on your own machine and measures them there.\n"
            "\n"
            "%sStart with these three:%s\n"
            "  hone pull smollm2:135m              fetch a small model (98 MB, Apache-2.0)\n"
            "  hone run smollm2:135m \"Why is the sky blue?\"\n"
            "                                      ask it once; without a question, chat\n"
            "  hone bench smollm2:135m             how fast it is on this machine\n"
            "\n"
            "%sCommands%s\n",
            bold, plain, bold, plain);
    for (const cli_command *c = cli_commands; c->name; c++) {
        fprintf(out, "  %-10s %s\n", c->name, c->summary);
    }
    fprintf(out,
            "\n"
            "A MODEL is a name in the store (hone list), a GGUF file or a Hugging Face folder.\n"
            "\n"
            "%sRead on%s\n"
            "  hone help COMMAND    a command's options, with examples\n"
            "  man hone             everything: environment, files, exit codes\n",
            bold, plain);
}

static int unknown_command(const char *name) {
    const char *names[sizeof cli_commands / sizeof *cli_commands];
    size_t n = 0;
    for (const cli_command *c = cli_commands; c->name; c++) names[n++] = c->name;
    names[n] = NULL;
    const char *nearest = cli_nearest(name, names);
    if (nearest) {
        cli_error("there is no command \"%s\"; did you mean \"hone %s\"?", name, nearest);
    } else {
        cli_error("there is no command \"%s\"; \"hone help\" lists them", name);
    }
    return CLI_USAGE;
}

static int cmd_help(int argc, char **argv) {
    const cli_option options[] = {CLI_OPTIONS_END};
    const cli_usage usage = {.command = "help",
                             .operands = "[COMMAND]",
                             .about = "Says what hone can do, or what a command takes.",
                             .options = options,
                             .max_operands = 1};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (operands.n == 0) {
        print_overview(stdout);
        return CLI_OK;
    }
    const cli_command *command = find_command(operands.items[0]);
    if (!command) return unknown_command(operands.items[0]);
    char help[] = "--help";
    char *page[] = {operands.items[0], help, NULL};
    return command->run(2, page);
}

static const char *command_line[CLI_MAX_WORDS + 1];

const char *const *cli_command_line(void) { return command_line; }

int main(int argc, char **argv) {
    interrupt_init();
    for (int i = 0; i < argc && i < CLI_MAX_WORDS; i++) command_line[i] = argv[i];
    int code;
    const char *name = argc > 1 ? argv[1] : NULL;
    const cli_command *command = name ? find_command(name) : NULL;
    if (command) {
        code = command->run(argc - 1, argv + 1);
    } else if (!name || !strcmp(name, "--help") || !strcmp(name, "-h")) {
        print_overview(stdout);
        code = CLI_OK;
    } else if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        printf("hone %s\n", hone_version());
        code = CLI_OK;
    } else if (name[0] == '-') {
        cli_error("unknown option %s before a command; \"hone help\" shows the way", name);
        return CLI_USAGE;
    } else {
        return unknown_command(name);
    }
    int written = cli_finish_output();
    return code == CLI_OK ? written : code;
}
