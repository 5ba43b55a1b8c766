/* A push parser with one buffer of text that waits for more (text/answer_parser.h). */
#include "text/answer_parser.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

/* A name that is longer is no function's. */
#define MAX_HEAD_BYTES 4096
#define MAX_HELD_BYTES ((size_t)64 << 20)

typedef enum parser_state {
    AT_START,       /* a thought may begin */
    AT_THOUGHT,     /* white space goes */
    IN_THOUGHT,
    BEHIND_THOUGHT, /* white space goes */
    AT_TEXT,        /* the first of the text: a call in JSON may begin */
    IN_TEXT,
    AT_CALL,        /* an object is expected */
    IN_CALL,        /* an object whose beginning is unusual: waits for its end */
    IN_ARGUMENTS,
    BEHIND_ARGUMENTS, /* the end of the object */
    BEHIND_CALL     /* the end of the form, or another call */
} parser_state;

/* Where a text of JSON stands. */
typedef struct json_place {
    size_t depth;
    bool in_string, escaped;
} json_place;

struct answer_parser {
    answer_parser_options o;
    parser_state state;
    const thought_tags *tags;
    buf held;
    buf lead;           /* AT_CALL, IN_CALL: what is text again should no call follow */
    size_t n_scanned;   /* IN_CALL: bytes of `held` that `place` has seen */
    json_place place;
    bool in_list;       /* of Mistral's form */
};

/* What a form begins and ends with. */
typedef struct call_marks {
    const char *open, *close;
} call_marks;

static const call_marks marks[] = {
    [CALLS_NONE] = {NULL, NULL},
    [CALLS_HERMES] = {"<tool_call>", "</tool_call>"},
    [CALLS_MISTRAL] = {"[TOOL_CALLS]", NULL},
    [CALLS_JSON] = {NULL, NULL},
};

static const char python_tag[] = "<|python_tag|>";

call_format call_format_of_template(const char *source) {
    if (!strstr(source, "tools")) return CALLS_NONE;
    if (strstr(source, "<tool_call>")) return CALLS_HERMES;
    if (strstr(source, "[TOOL_CALLS]")) return CALLS_MISTRAL;
    return CALLS_JSON;
}

bool answer_parser_is_mark(const char *text, size_t n) {
    static const char *const all[] = {"<tool_call>", "</tool_call>", "[TOOL_CALLS]", python_tag,
                                      "<think>", "</think>", "[THINK]", "[/THINK]"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strlen(all[i]) == n && !memcmp(text, all[i], n)) return true;
    return false;
}

/* --- life --- */

hone_status answer_parser_open(answer_parser **out, const answer_parser_options *options) {
    answer_parser *p = mem_calloc(1, sizeof *p);
    *out = p;
    if (!p) return mem_fail("answer", sizeof *p);
    p->o = *options;
    p->tags = options->opened;
    p->state = p->tags ? AT_THOUGHT : options->thoughts ? AT_START : AT_TEXT;
    buf_init(&p->held, MAX_HELD_BYTES);
    buf_init(&p->lead, MAX_HELD_BYTES);
    return HONE_OK;
}

void answer_parser_close(answer_parser *p) {
    if (!p) return;
    buf_release(&p->held);
    buf_release(&p->lead);
    mem_free(p);
}

/* --- the text that waits --- */

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static size_t blanks(const char *text, size_t n) {
    size_t i = 0;
    while (i < n && is_blank(text[i])) i++;
    return i;
}

static void drop(answer_parser *p, size_t n) {
    if (n == 0) return;
    memmove(p->held.data, p->held.data + n, p->held.len - n);
    p->held.len -= n;
}

static void drop_blanks(answer_parser *p) { drop(p, blanks(p->held.data, p->held.len)); }

/* Takes the next bytes into what comes back should no call follow. */
static hone_status move_to_lead(answer_parser *p, size_t n) {
    TRY(buf_add(&p->lead, p->held.data, n));
    drop(p, n);
    return HONE_OK;
}

static hone_status give(answer_parser *p, answer_span_kind kind, size_t n) {
    if (n == 0) return HONE_OK;
    TRY(p->o.take(p->o.user, kind, p->held.data, n));
    drop(p, n);
    return HONE_OK;
}

/* Whether the text begins with the mark; *maybe: it is a beginning of the mark. */
static bool begins_with(const char *text, size_t n, const char *mark, bool *maybe) {
    size_t length = strlen(mark);
    *maybe = n < length && !memcmp(text, mark, n);
    return n >= length && !memcmp(text, mark, length);
}

/* Up to where text is certain: before the mark (*found), or before what may become one; in front of
 * that, white space waits too. */
static size_t text_before(const answer_parser *p, const char *mark, bool *found) {
    const char *text = p->held.data;
    size_t n = p->held.len, end = n;
    const char *at = mark ? memmem(text, n, mark, strlen(mark)) : NULL;
    *found = at != NULL;
    if (at) end = (size_t)(at - text);
    for (size_t i = mark && n > strlen(mark) ? n - strlen(mark) : 0; mark && !at && i < n; i++)
        if (!memcmp(text + i, mark, n - i)) {
            end = i;
            break;
        }
    while (end > 0 && is_blank(text[end - 1])) end--;
    return end;
}

/* --- thoughts --- */

static hone_status read_start(answer_parser *p, bool *more) {
    bool maybe;
    p->tags = thoughts_begin_in(p->held.data, p->held.len, &maybe);
    if (maybe) return HONE_OK;
    *more = true;
    p->state = p->tags ? AT_THOUGHT : AT_TEXT;
    if (p->tags) drop(p, blanks(p->held.data, p->held.len) + strlen(p->tags->open));
    return HONE_OK;
}

static hone_status read_thought(answer_parser *p, bool *more) {
    bool found;
    TRY(give(p, ANSWER_THOUGHT, text_before(p, p->tags->close, &found)));
    if (!found) return HONE_OK;
    drop(p, blanks(p->held.data, p->held.len) + strlen(p->tags->close));
    p->state = BEHIND_THOUGHT;
    *more = true;
    return HONE_OK;
}

/* White space between two states. */
static hone_status read_blanks(answer_parser *p, parser_state next, bool *more) {
    drop_blanks(p);
    if (p->held.len == 0) return HONE_OK;
    p->state = next;
    *more = true;
    return HONE_OK;
}

/* --- calls --- */

static void scan(json_place *at, char c) {
    if (at->escaped) at->escaped = false;
    else if (at->in_string && c == '\\') at->escaped = true;
    else if (c == '"') at->in_string = !at->in_string;
    else if (!at->in_string && (c == '{' || c == '[')) at->depth++;
    else if (!at->in_string && (c == '}' || c == ']') && at->depth) at->depth--;
}

/* Bytes up to and with the one that closes what was opened; all of them, and !*closed, where that
 * has not come. */
static size_t scan_value(json_place *at, const char *text, size_t n, bool *closed) {
    *closed = false;
    for (size_t i = 0; i < n; i++) {
        scan(at, text[i]);
        if (at->depth == 0) {
            *closed = true;
            return i + 1;
        }
    }
    return n;
}

/* Reads a beginning such as {"name": "f", "arguments": { and says where its parts lie. */
typedef struct call_head {
    size_t name, n_name, arguments;
    bool maybe; /* it may become one */
} call_head;

static bool take_mark(const answer_parser *p, size_t *at, const char *mark, bool *maybe) {
    *at += blanks(p->held.data + *at, p->held.len - *at);
    if (!begins_with(p->held.data + *at, p->held.len - *at, mark, maybe)) return false;
    *at += strlen(mark);
    return true;
}

static bool read_head(const answer_parser *p, call_head *h) {
    size_t at = 0;
    *h = (call_head){0};
    if (!take_mark(p, &at, "{", &h->maybe) || !take_mark(p, &at, "\"name\"", &h->maybe) ||
        !take_mark(p, &at, ":", &h->maybe) || !take_mark(p, &at, "\"", &h->maybe))
        return false;
    h->name = at;
    while (at < p->held.len && p->held.data[at] != '"' && p->held.data[at] != '\\') at++;
    h->n_name = at - h->name;
    h->maybe = at == p->held.len && at < MAX_HEAD_BYTES;
    if (at == p->held.len) return false;
    if (!take_mark(p, &at, "\"", &h->maybe) || !take_mark(p, &at, ",", &h->maybe)) return false;
    if (!take_mark(p, &at, "\"arguments\"", &h->maybe)) {
        bool other;
        bool parameters = take_mark(p, &at, "\"parameters\"", &other);
        h->maybe |= other;
        if (!parameters) return false;
    }
    if (!take_mark(p, &at, ":", &h->maybe) || !take_mark(p, &at, "{", &h->maybe)) return false;
    h->arguments = at - 1;
    return true;
}

static bool is_known(const answer_parser *p, const char *name, size_t n) {
    bool ask = p->o.calls == CALLS_JSON && p->o.knows;
    return n > 0 && (!ask || p->o.knows(p->o.knows_user, name, n));
}

/* What looked like a call is text, and so is the mark before it. */
static hone_status give_up(answer_parser *p) {
    p->state = IN_TEXT;
    if (p->lead.len) TRY(p->o.take(p->o.user, ANSWER_TEXT, p->lead.data, p->lead.len));
    p->lead.len = 0;
    return HONE_OK;
}

static hone_status begin_call(answer_parser *p, const char *name, size_t n) {
    p->lead.len = 0;
    return p->o.take(p->o.user, ANSWER_CALL, name, n);
}

static hone_status read_call_begin(answer_parser *p, bool *more) {
    call_head head;
    size_t at = blanks(p->held.data, p->held.len);
    if (at == p->held.len) return HONE_OK;
    *more = true;
    if (p->o.calls == CALLS_MISTRAL && !p->in_list && p->held.data[at] == '[') {
        p->in_list = true;
        return move_to_lead(p, at + 1);
    }
    if (p->held.data[at] != '{') return give_up(p);
    if (read_head(p, &head)) {
        if (!is_known(p, p->held.data + head.name, head.n_name)) return give_up(p);
        TRY(begin_call(p, p->held.data + head.name, head.n_name));
        drop(p, head.arguments);
        p->state = IN_ARGUMENTS;
    } else if (head.maybe) {
        *more = false;
    } else {
        p->state = IN_CALL;
        p->n_scanned = at;
    }
    p->place = (json_place){0};
    return HONE_OK;
}

/* A text is the arguments' own text; without any there are none. */
static hone_status give_arguments(answer_parser *p, const json_t *arguments) {
    if (json_is_string(arguments) && json_string_length(arguments) > 0)
        return p->o.take(p->o.user, ANSWER_ARGUMENTS, json_string_value(arguments),
                         json_string_length(arguments));
    bool none = !arguments || json_is_null(arguments) || json_is_string(arguments);
    char *text = none ? mem_copy_string("{}", 2)
                      : json_dumps(arguments, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) return mem_fail("arguments", 2);
    hone_status status = p->o.take(p->o.user, ANSWER_ARGUMENTS, text, strlen(text));
    mem_free(text);
    return status;
}

/* A whole object of n bytes, in whatever order its members stand. */
static hone_status read_whole_call(answer_parser *p, size_t n) {
    json_t *call;
    hone_status status = json_parse(&call, p->held.data, n, "a call");
    if (status == HONE_ERR_MEMORY) return status;
    if (status != HONE_OK) return give_up(p);
    const json_t *name = json_object_get(call, "name");
    const json_t *arguments = json_object_get(call, "arguments");
    if (!arguments) arguments = json_object_get(call, "parameters");
    if (json_is_string(name) && is_known(p, json_string_value(name), json_string_length(name))) {
        status = begin_call(p, json_string_value(name), json_string_length(name));
        if (status == HONE_OK) status = give_arguments(p, arguments);
        drop(p, n);
        p->state = BEHIND_CALL;
    } else {
        status = give_up(p);
    }
    json_decref(call);
    return status;
}

static hone_status read_unusual_call(answer_parser *p, bool *more) {
    bool closed;
    p->n_scanned += scan_value(&p->place, p->held.data + p->n_scanned, p->held.len - p->n_scanned,
                               &closed);
    if (!closed) return HONE_OK;
    *more = true;
    return read_whole_call(p, p->n_scanned);
}

static hone_status read_arguments(answer_parser *p, bool *more) {
    bool closed;
    TRY(give(p, ANSWER_ARGUMENTS, scan_value(&p->place, p->held.data, p->held.len, &closed)));
    if (!closed) return HONE_OK;
    p->state = BEHIND_ARGUMENTS;
    *more = true;
    return HONE_OK;
}

/* To the end of the object: other members mean nothing. */
static hone_status read_call_end(answer_parser *p, bool *more) {
    const char *end = p->held.len ? memchr(p->held.data, '}', p->held.len) : NULL;
    drop(p, end ? (size_t)(end + 1 - p->held.data) : p->held.len);
    if (!end) return HONE_OK;
    p->state = BEHIND_CALL;
    *more = true;
    return HONE_OK;
}

static hone_status read_behind_call(answer_parser *p, bool *more) {
    const char *close = marks[p->o.calls].close;
    bool maybe = false;
    drop_blanks(p);
    if (p->held.len == 0) return HONE_OK;
    *more = true;
    char next = p->held.data[0];
    bool another = p->in_list ? next == ','
                              : p->o.calls == CALLS_JSON && (next == ';' || next == ',');
    if (close && begins_with(p->held.data, p->held.len, close, &maybe)) {
        drop(p, strlen(close));
    } else if (maybe) {
        *more = false;
    } else if (another) {
        drop(p, 1);
        p->state = AT_CALL;
    } else if (p->in_list && next == ']') {
        drop(p, 1);
        p->in_list = false;
    } else {
        p->state = p->o.calls == CALLS_JSON && next == '{' ? AT_CALL : IN_TEXT;
    }
    return HONE_OK;
}

/* --- text --- */

/* The first of the answer itself. */
static hone_status read_first_text(answer_parser *p, bool *more) {
    bool maybe = false;
    size_t at = blanks(p->held.data, p->held.len);
    *more = true;
    p->state = IN_TEXT;
    if (p->o.calls != CALLS_JSON) return HONE_OK;
    bool tag = begins_with(p->held.data + at, p->held.len - at, python_tag, &maybe);
    if (tag) {
        drop(p, at + strlen(python_tag)); /* a control token: never shown */
        p->state = AT_CALL;
    } else if (at < p->held.len && p->held.data[at] == '{') {
        p->state = AT_CALL;
        return move_to_lead(p, at);
    } else if (maybe) {
        p->state = AT_TEXT;
        *more = false;
    }
    return HONE_OK;
}

static hone_status read_text(answer_parser *p, bool *more) {
    const char *open = marks[p->o.calls].open;
    bool found;
    if (!open) return give(p, ANSWER_TEXT, p->held.len);
    TRY(give(p, ANSWER_TEXT, text_before(p, open, &found)));
    if (!found) return HONE_OK;
    p->state = AT_CALL;
    *more = true;
    return move_to_lead(p, blanks(p->held.data, p->held.len) + strlen(open));
}

/* --- pieces --- */

/* One step; *more: there may be another without more text. */
static hone_status advance(answer_parser *p, bool *more) {
    switch (p->state) {
    case AT_START: return read_start(p, more);
    case AT_THOUGHT: return read_blanks(p, IN_THOUGHT, more);
    case IN_THOUGHT: return read_thought(p, more);
    case BEHIND_THOUGHT: return read_blanks(p, AT_TEXT, more);
    case AT_TEXT: return read_first_text(p, more);
    case IN_TEXT: return read_text(p, more);
    case AT_CALL: return read_call_begin(p, more);
    case IN_CALL: return read_unusual_call(p, more);
    case IN_ARGUMENTS: return read_arguments(p, more);
    case BEHIND_ARGUMENTS: return read_call_end(p, more);
    case BEHIND_CALL: return read_behind_call(p, more);
    }
    return HONE_OK;
}

hone_status answer_parser_push(answer_parser *p, const char *text, size_t n) {
    TRY(buf_add(&p->held, text, n));
    for (bool more = p->held.len > 0; more;) {
        more = false;
        TRY(advance(p, &more));
        more &= p->held.len > 0;
    }
    return HONE_OK;
}

hone_status answer_parser_finish(answer_parser *p) {
    switch (p->state) {
    case IN_THOUGHT: return give(p, ANSWER_THOUGHT, p->held.len);
    case AT_CALL: case IN_CALL: TRY(give_up(p)); break;
    case AT_START: case AT_TEXT: case IN_TEXT: break;
    default: return HONE_OK;
    }
    return give(p, ANSWER_TEXT, p->held.len);
}
