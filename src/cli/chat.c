/* The chat at a terminal: line editing and history by libedit, the conversation, its commands.
 *
 * Ctrl-C while the model answers ends the answer; at the prompt it drops what is typed, and where
 * nothing is, twice in a row, it leaves, as Ctrl-D and /bye do. The library keeps what both sides
 * said in its cache, so that a turn computes only what is new. */
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/run.h"
#include "weights/paths.h"

enum {
    MAX_MESSAGE_BYTES = 16 << 20,
    HISTORY_LINES = 1000,
};

typedef struct turn {
    const char *role;
    hone_part part; /* text of its own */
} turn;

typedef struct chat {
    engine *engine;
    run_settings *settings;
    bool templated; /* a conversation; otherwise every text is continued by itself */
    turn *turns;
    size_t n_turns, turns_capacity;
    hone_message *messages; /* over `turns`; rebuilt for each request */
    char *own_system;       /* set by /system */
    EditLine *line_editor;
    History *history;
    fs_path history_path;
    bool continuing;   /* the prompt shows that a text goes on */
    bool line_dropped; /* the last interrupt met something typed */
    bool leave;
    int exit_code;
    answer last;
    bool has_last;
} chat;

/* --- history --- */

/* "" where there is no home to keep it in. */
static void find_history(fs_path *path) {
    fs_path folder;
    path->text[0] = 0;
    if (paths_folder(&folder, PATHS_STATE) != HONE_OK) return;
    if (fs_make_folders(folder.text) != HONE_OK) return;
    if (fs_path_format(path, "%s/history", folder.text) != HONE_OK) path->text[0] = 0;
}

static char *show_prompt(EditLine *line_editor) {
    static char first[] = ">>> ", next[] = "... ";
    chat *c;
    el_get(line_editor, EL_CLIENTDATA, &c);
    return c->continuing ? next : first;
}

/* libedit's own reader would miss a signal that comes just before it waits. Returns 1, 0 at the end
 * of input, −1 when interrupted. */
static int read_character(EditLine *line_editor, wchar_t *character) {
    (void)line_editor;
    char bytes[4];
    size_t n = 0;
    uint32_t code;
    do {
        if (!interrupt_wait_readable(STDIN_FILENO)) return -1;
        ssize_t got = read(STDIN_FILENO, bytes + n, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return (int)got;
        n++;
    } while (n < sizeof bytes && utf8_complete_prefix(bytes, n) < n);
    utf8_decode(bytes, n, &code);
    *character = code == UTF8_INVALID ? 0xFFFD : (wchar_t)code;
    return 1;
}

static int open_editor(chat *c) {
    /* Line editing of anything but ASCII needs a UTF-8 locale, whatever the user's language. */
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    c->line_editor = el_init("hone", stdin, stdout, stderr);
    c->history = history_init();
    if (!c->line_editor || !c->history) {
        cli_error("the line editor cannot start on this terminal");
        return CLI_FAILED;
    }
    HistEvent event;
    history(c->history, &event, H_SETSIZE, HISTORY_LINES);
    history(c->history, &event, H_SETUNIQUE, 1);
    find_history(&c->history_path);
    if (c->history_path.text[0]) history(c->history, &event, H_LOAD, c->history_path.text);
    el_set(c->line_editor, EL_CLIENTDATA, c);
    el_set(c->line_editor, EL_PROMPT, show_prompt);
    el_set(c->line_editor, EL_GETCFN, read_character);
    el_set(c->line_editor, EL_EDITOR, "emacs");
    el_set(c->line_editor, EL_HIST, history, c->history);
    el_set(c->line_editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(c->line_editor, NULL);
    return CLI_OK;
}

static void close_editor(chat *c) {
    HistEvent event;
    if (c->history && c->history_path.text[0]) {
        mode_t before = umask(077); /* what somebody asked is nobody else's business */
        history(c->history, &event, H_SAVE, c->history_path.text);
        umask(before);
    }
    if (c->history) history_end(c->history);
    if (c->line_editor) el_end(c->line_editor);
}

/* --- reading a message --- */

typedef enum reading { READ_TEXT, READ_INTERRUPTED, READ_END } reading;

static reading read_line(chat *c, const char **line, size_t *n) {
    int count = 0;
    interrupt_hold();
    el_set(c->line_editor, EL_PREP_TERM, 1); /* before the prompt invites to type */
    *line = el_gets(c->line_editor, &count);
    interrupt_disarm();
    if (interrupt_seen()) {
        const LineInfo *typed = el_line(c->line_editor);
        c->line_dropped = c->continuing || typed->lastchar != typed->buffer;
        el_reset(c->line_editor);
        cli_write("\n", 1);
        return READ_INTERRUPTED;
    }
    if (!*line || count <= 0) return READ_END;
    *n = (size_t)count;
    if ((*line)[*n - 1] == '\n') --*n;
    if (*n) {
        HistEvent event;
        history(c->history, &event, H_ENTER, *line);
    }
    return READ_TEXT;
}

/* One message: a line; lines that end in a backslash and the one behind them; or everything between
 * two """. */
static reading read_message(chat *c, buf *message) {
    static const char quotes[] = "\"\"\"";
    bool quoted = false;
    for (bool first = true;; first = false) {
        const char *line;
        size_t n;
        c->continuing = !first;
        reading got = read_line(c, &line, &n);
        if (got != READ_TEXT) return got;
        if (first && n >= 3 && !strncmp(line, quotes, 3)) {
            quoted = true;
            line += 3, n -= 3;
            if (n == 0) continue;
        }
        bool ends = quoted && n >= 3 && !strncmp(line + n - 3, quotes, 3);
        bool continues = !quoted && n >= 1 && line[n - 1] == '\\';
        size_t kept = n - (ends ? 3 : continues ? 1 : 0);
        hone_status status = message->len ? buf_add_text(message, "\n") : HONE_OK;
        if (status == HONE_OK) status = buf_add(message, line, kept);
        if (status != HONE_OK) {
            cli_error("the message is too long");
            buf_release(message);
            buf_init(message, MAX_MESSAGE_BYTES);
            return READ_TEXT;
        }
        if (quoted ? ends : !continues) return READ_TEXT;
    }
}

/* --- the conversation --- */

static void drop_turns(chat *c, size_t n_kept) {
    while (c->n_turns > n_kept) mem_free((void *)c->turns[--c->n_turns].part.data);
}

static bool add_turn(chat *c, const char *role, const char *text, size_t n) {
    if (c->n_turns == c->turns_capacity) {
        size_t capacity = c->turns_capacity ? 2 * c->turns_capacity : 16;
        turn *turns = mem_realloc(c->turns, capacity, sizeof *turns);
        if (!turns) return false;
        c->turns = turns;
        /* One more: the system message. */
        hone_message *messages = mem_realloc(c->messages, capacity + 1, sizeof *messages);
        if (!messages) return false;
        c->messages = messages;
        c->turns_capacity = capacity;
    }
    char *copy = mem_copy_string(text, n);
    if (!copy) return false;
    c->turns[c->n_turns++] = (turn){role, {HONE_PART_TEXT, copy, n}};
    return true;
}

static hone_status generate(chat *c, answer *a) {
    const run_settings *s = c->settings;
    const hone_part *text = &c->turns[c->n_turns - 1].part;
    if (!c->templated) {
        return answer_generate(a, c->engine, &s->answer, NULL, 0, text->data, text->n_bytes, true);
    }
    hone_part system = {HONE_PART_TEXT, s->system, s->system ? strlen(s->system) : 0};
    size_t n = 0;
    if (s->system) c->messages[n++] = (hone_message){"system", &system, 1};
    for (size_t i = 0; i < c->n_turns; i++) {
        c->messages[n++] = (hone_message){c->turns[i].role, &c->turns[i].part, 1};
    }
    return answer_generate(a, c->engine, &s->answer, c->messages, n, NULL, 0, true);
}

static void ask(chat *c, const char *text, size_t n) {
    size_t before = c->n_turns;
    if (!utf8_is_valid(text, n)) {
        cli_error("that is not valid UTF-8");
        return;
    }
    answer a;
    if (!add_turn(c, "user", text, n)) {
        cli_error("not enough memory for the message");
        return;
    }
    hone_status status = generate(c, &a);
    if (status != HONE_OK) {
        cli_fail(status);
        if (status == HONE_ERR_CONTEXT_FULL) fprintf(stderr, "/clear begins a new conversation.\n");
        drop_turns(c, before);
        return;
    }
    cli_write("\n", 1);
    answer_tell_cut(&a, c->engine, &c->settings->answer, true);
    if (c->settings->stats) answer_print_stats_line(stderr, &a, c->engine);
    if (!add_turn(c, "assistant", a.result.text, a.result.n_bytes)) drop_turns(c, before);
    if (c->has_last) answer_release(&c->last);
    c->last = a;
    c->has_last = true;
}

/* --- commands --- */

static void do_help(chat *c, const char *rest);

static void do_clear(chat *c, const char *rest) {
    (void)rest;
    drop_turns(c, 0);
    printf("The conversation begins anew.\n");
}

static void do_system(chat *c, const char *rest) {
    if (!c->templated) {
        cli_error("this model has no chat template, so that a system text has no place");
        return;
    }
    char *copy = *rest ? mem_copy_string(rest, strlen(rest)) : NULL;
    mem_free(c->own_system);
    c->own_system = copy;
    c->settings->system = copy;
    drop_turns(c, 0);
    printf("%s The conversation begins anew.\n", copy ? "Set." : "No system text.");
}

static void do_stats(chat *c, const char *rest) {
    (void)rest;
    if (c->has_last) answer_print_stats_line(stdout, &c->last, c->engine);
    size_t n_tokens;
    cli_text bytes;
    hone_session_tokens(c->engine->session, &n_tokens);
    printf("%zu of %zu tokens of context in use, %s of cache\n", n_tokens,
           hone_session_context(c->engine->session),
           cli_format_bytes(&bytes, hone_session_kv_bytes(c->engine->session)));
}

/* Options that make sense between two answers. */
static const char *const changeable[] = {
    "temperature",    "top-k",         "top-p",           "min-p",
    "typical-p",      "repeat-penalty", "repeat-last-n",  "presence-penalty",
    "frequency-penalty", "seed",       "max-tokens",      NULL,
};

static void do_set(chat *c, const char *rest) {
    char name[64];
    size_t n = strcspn(rest, " ");
    const char *value = rest + n + strspn(rest + n, " ");
    bool known = false;
    if (n < sizeof name) {
        memcpy(name, rest, n);
        name[n] = 0;
        for (size_t i = 0; changeable[i]; i++) known |= !strcmp(name, changeable[i]);
    }
    if (known && *value) {
        if (cli_set_option(cli_find_option(c->settings->options, name), value)) {
            printf("%s is %s from now on.\n", name, value);
        }
        return;
    }
    if (*rest && !known) {
        const char *nearest = n < sizeof name ? cli_nearest(name, changeable) : NULL;
        fprintf(stderr, "There is no such setting%s%s%s\n", nearest ? "; did you mean " : "",
                nearest ? nearest : "", nearest ? "?" : ".");
        if (nearest) return;
    }
    printf("/set NAME VALUE, where NAME is one of:\n");
    for (size_t i = 0; changeable[i]; i++) {
        const cli_option *option = cli_find_option(c->settings->options, changeable[i]);
        printf("  %-20s%s\n", option->name, option->help);
    }
}

static void do_bye(chat *c, const char *rest) {
    (void)rest;
    c->leave = true;
}

static const struct chat_command {
    const char *name, *argument, *help;
    void (*run)(chat *c, const char *rest);
} chat_commands[] = {
    {"help", "", "this list", do_help},
    {"clear", "", "forget the conversation", do_clear},
    {"system", "TEXT", "what the model is told first; empty = nothing", do_system},
    {"stats", "", "speed and memory of the last answer", do_stats},
    {"set", "NAME VALUE", "change a setting; without a name, list them", do_set},
    {"bye", "", "leave (also Ctrl-D)", do_bye},
};
enum { N_CHAT_COMMANDS = sizeof chat_commands / sizeof *chat_commands };

static void do_help(chat *c, const char *rest) {
    (void)c, (void)rest;
    for (size_t i = 0; i < N_CHAT_COMMANDS; i++) {
        char left[40];
        snprintf(left, sizeof left, "/%s %s", chat_commands[i].name, chat_commands[i].argument);
        printf("  %-20s%s\n", left, chat_commands[i].help);
    }
    printf("A line that ends in \\ goes on in the next one; \"\"\" begins and ends a longer text.\n"
           "Ctrl-C stops an answer, Ctrl-D leaves, the arrow keys bring back earlier lines.\n");
}

/* A command is a slash and a word; "/etc/passwd" is not one. Returns false for a message. */
static bool obey(chat *c, const char *text) {
    size_t n = strcspn(text + 1, " \n");
    if (text[0] != '/' || memchr(text + 1, '/', n)) return false;
    const char *names[N_CHAT_COMMANDS + 1] = {NULL};
    for (size_t i = 0; i < N_CHAT_COMMANDS; i++) {
        names[i] = chat_commands[i].name;
        if (strlen(names[i]) != n || strncmp(text + 1, names[i], n) != 0) continue;
        const char *rest = text + 1 + n;
        chat_commands[i].run(c, rest + strspn(rest, " \n"));
        return true;
    }
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)(n < 60 ? n : 60), text + 1);
    const char *nearest = cli_nearest(typed, names);
    if (nearest) fprintf(stderr, "There is no /%s; did you mean /%s?\n", typed, nearest);
    else fprintf(stderr, "There is no /%s; /help lists what there is.\n", typed);
    return true;
}

/* --- the loop --- */

static void take_turn(chat *c, bool *hinted) {
    buf message;
    buf_init(&message, MAX_MESSAGE_BYTES);
    switch (read_message(c, &message)) {
    case READ_TEXT:
        *hinted = false;
        if (message.len && !obey(c, message.data)) ask(c, message.data, message.len);
        break;
    case READ_INTERRUPTED:
        if (*hinted && !c->line_dropped) {
            c->leave = true;
            c->exit_code = CLI_INTERRUPTED;
        } else if (!interrupt_is_final()) {
            fprintf(stderr, "(Ctrl-C again, Ctrl-D or /bye leaves)\n");
        }
        *hinted = true;
        break;
    case READ_END:
        cli_write("\n", 1);
        c->leave = true;
        break;
    }
    buf_release(&message);
    if (interrupt_is_final()) {
        c->leave = true;
        c->exit_code = CLI_INTERRUPTED;
    }
}

int chat_run(engine *e, run_settings *settings) {
    const hone_model_info *info = hone_model_describe(e->model);
    chat c = {.engine = e, .settings = settings};
    c.templated = info->has_chat_template && !settings->raw;
    int code = open_editor(&c);
    if (code == CLI_OK) {
        printf("%s. /help lists what can be typed, Ctrl-D leaves.\n", settings->model);
        if (!c.templated) printf("Without a chat template: each text is continued by itself.\n");
        for (bool hinted = false; !c.leave;) take_turn(&c, &hinted);
        code = c.exit_code;
    }
    close_editor(&c);
    if (c.has_last) answer_release(&c.last);
    drop_turns(&c, 0);
    mem_free(c.turns);
    mem_free(c.messages);
    mem_free(c.own_system);
    int written = cli_finish_output();
    return code == CLI_OK ? written : code;
}
