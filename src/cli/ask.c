/* `hone ask`: one question, written or spoken, through as many models as it takes. */
#include <sys/stat.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/hear.h"
#include "cli/profile_option.h"
#include "cli/run.h"

enum { MAX_QUESTION_BYTES = 1 << 20 };

static bool is_file(const char *question) {
    struct stat st;
    return stat(question, &st) == 0 && S_ISREG(st.st_mode);
}

/* The written question where it is the argument. A file's name is none: the file may be meant. */
static int take_question(const char **text, const cli_usage *usage, const cli_operands *operands) {
    if (operands->n == 0) return CLI_OK;
    const char *question = operands->items[0];
    if (*text)
        return cli_wrong_use(usage, "the question is there twice: as argument and as --text");
    if (is_file(question))
        return cli_wrong_use(usage, "\"%s\" is a file: type --audio \"%s\" to have it heard, "
                                    "--text \"%s\" to ask just that", question, question, question);
    *text = question;
    return CLI_OK;
}

int cmd_ask(int argc, char **argv) {
    run_settings s = RUN_SETTINGS_UNSET;
    hear_settings spoken = HEAR_SETTINGS_UNSET;
    const char *text = NULL;
    bool json = false;
    s.model = "smollm2:135m";
    answer_settings_init(&s.answer);
    const cli_option options[] = {
        CLI_TEXT("text", 0, &text, "TEXT", "the question, also where it is the name of a file"),
        HEAR_OPTIONS(spoken),
        CLI_TEXT("model", 'm', &s.model, "MODEL",
                 "who answers (default: smollm2:135m); \"auto\": the one that hone route names"),
        CLI_TEXT("system", 0, &s.system, "TEXT", "what the model is told before the question"),
        STRATEGY_OPTIONS(s.answer.strategy),
        CLI_FLAG("trace", 0, &s.trace,
                 "tell every draw of the strategy and how it chose (on stderr)"),
        CLI_FLAG("json", 0, &json, "print one JSON object at the end instead of streaming"),
        CLI_FLAG("stats", 0, &s.stats, "close with a table of speed and memory (on stderr)"),
        ANSWER_OPTIONS(s.answer),
        CLI_HEADING("Choosing the model (--model auto)"),
        ROUTE_OPTIONS(s.routing),
        CLI_HEADING("Engine"),
        ENGINE_OPTIONS(s.engine),
        PROFILE_OPTION(&s.no_profile),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "ask",
        .operands = "[QUESTION]",
        .about = "Answers one question that is written, spoken or both: what is said is "
                 "transcribed by a Whisper model and put behind QUESTION, and a text model "
                 "answers.",
        .examples =
            "hone ask \"What is 17 + 25?\"\n"
            "hone ask --audio question.wav\n"
            "hone ask \"Summarise this:\" --audio meeting.mp3 --model qwen2.5:1.5b\n"
            "hone ask \"What is 17 + 25?\" --model auto --priority quality\n"
            "hone ask \"What is 17 + 25?\" --strategy \"cascade4 with qwen2.5:1.5b\" --trace\n",
        .options = options,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    code = take_question(&text, &usage, &operands);
    if (code != CLI_OK) return code;
    if (!text && !spoken.audio)
        return cli_wrong_use(&usage, "a question is missing: hone ask \"QUESTION\", --audio FILE "
                                     "or both");
    buf prompt;
    buf_init(&prompt, MAX_QUESTION_BYTES);
    hone_status status = text ? buf_add_text(&prompt, text) : HONE_OK;
    code = status == HONE_OK ? strategy_option_open(&s.answer.strategy, &usage) : cli_fail(status);
    if (code == CLI_OK && spoken.audio) code = hear(&prompt, &spoken, s.engine.threads);
    if (code == CLI_OK) code = run_prompt(&usage, &s, &prompt, json);
    buf_release(&prompt);
    strategy_option_release(&s.answer.strategy);
    return code;
}
