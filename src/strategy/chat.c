/* Building prompts (strategy/chat.h). */
#include "strategy/chat.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

static hone_status add_line(chat *c, chat_line line) {
    TRY(mem_grow(&c->lines, &c->capacity, c->n_lines + 1, sizeof *c->lines, "prompt"));
    c->lines[c->n_lines++] = line;
    return HONE_OK;
}

static hone_status copy_text(char **out, const char *text, size_t n) {
    *out = mem_copy_string(text, n);
    return *out ? HONE_OK : mem_fail("prompt", n);
}

static hone_status add_text(chat *c, const char *role, const char *text, size_t n) {
    chat_line line = {.role = role};
    TRY(copy_text(&line.text, text, n));
    hone_status status = add_line(c, line);
    if (status != HONE_OK) mem_free(line.text);
    return status;
}

hone_status chat_add(chat *c, const char *role, const char *text) {
    return add_text(c, role, text, strlen(text));
}

static const char *line_role(const chat_line *l) {
    return l->borrowed ? l->borrowed->role : l->role;
}

/* The last line of a role, or NULL. */
static chat_line *last_of(const chat *c, const char *role) {
    for (size_t i = c->n_lines; i-- > 0;)
        if (!strcmp(line_role(&c->lines[i]), role)) return &c->lines[i];
    return NULL;
}

static hone_status copy_request(chat *c, const hone_request *r) {
    for (size_t i = 0; i < r->n_messages; i++)
        TRY(add_line(c, (chat_line){.borrowed = &r->messages[i]}));
    if (r->prompt) TRY(add_text(c, "user", r->prompt, r->prompt_bytes));
    if (!last_of(c, "user"))
        return fail(HONE_ERR_ARGUMENT,
                    "a strategy needs a question: a prompt, or a message of a user");
    return HONE_OK;
}

hone_status chat_init(chat *c, const hone_request *request) {
    *c = (chat){.plain = request->prompt != NULL};
    hone_status status = copy_request(c, request);
    if (status != HONE_OK) chat_release(c);
    return status;
}

hone_status chat_copy(chat *c, const chat *from) {
    hone_status status = HONE_OK;
    *c = (chat){.plain = from->plain};
    for (size_t i = 0; i < from->n_lines && status == HONE_OK; i++) {
        const chat_line *l = &from->lines[i];
        status = l->borrowed ? add_line(c, *l) : chat_add(c, l->role, l->text);
    }
    if (status != HONE_OK) chat_release(c);
    return status;
}

void chat_release(chat *c) {
    for (size_t i = 0; i < c->n_lines; i++) mem_free(c->lines[i].text);
    mem_free(c->lines);
    mem_free(c->messages);
    mem_free(c->text);
    *c = (chat){0};
}

/* --- the question --- */

static hone_status line_text(const chat_line *l, char **text) {
    if (!l->borrowed) return copy_text(text, l->text, strlen(l->text));
    buf b;
    buf_init(&b, MAX_TEXT_BYTES);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < l->borrowed->n_parts && status == HONE_OK; i++) {
        const hone_part *part = &l->borrowed->parts[i];
        if (part->kind == HONE_PART_TEXT) status = buf_add(&b, part->data, part->n_bytes);
    }
    char *taken = status == HONE_OK ? buf_take(&b) : NULL;
    buf_release(&b);
    if (status == HONE_OK && !taken) return mem_fail("prompt", 1);
    if (status == HONE_OK) *text = taken;
    return status;
}

hone_status chat_question(const chat *c, char **text) {
    return line_text(last_of(c, "user"), text);
}

/* A borrowed message becomes one of our own. */
static hone_status replace_text(chat_line *l, const char *text) {
    char *copy;
    TRY(copy_text(&copy, text, strlen(text)));
    l->role = line_role(l);
    mem_free(l->text);
    l->text = copy;
    l->borrowed = NULL;
    return HONE_OK;
}

hone_status chat_set_question(chat *c, const char *text) {
    return replace_text(last_of(c, "user"), text);
}

/* The line's text, with another one behind it. */
static hone_status join_text(chat_line *l, const char *between, const char *text) {
    char *old;
    TRY(line_text(l, &old));
    buf b;
    buf_init(&b, MAX_TEXT_BYTES);
    hone_status status = buf_add_format(&b, "%s%s%s", old, between, text);
    if (status == HONE_OK) status = replace_text(l, b.data);
    buf_release(&b);
    mem_free(old);
    return status;
}

hone_status chat_add_to_question(chat *c, const char *text) {
    return join_text(last_of(c, "user"), "", text);
}

/* Adds a message that becomes line `at`. */
static hone_status insert(chat *c, size_t at, const char *role, const char *text) {
    TRY(chat_add(c, role, text));
    chat_line made = c->lines[c->n_lines - 1];
    memmove(c->lines + at + 1, c->lines + at, (c->n_lines - 1 - at) * sizeof *c->lines);
    c->lines[at] = made;
    return HONE_OK;
}

hone_status chat_add_before_question(chat *c, const char *role, const char *text) {
    return insert(c, (size_t)(last_of(c, "user") - c->lines), role, text);
}

hone_status chat_add_system(chat *c, const char *text) {
    chat_line *system = last_of(c, "system");
    return system ? join_text(system, "\n\n", text) : insert(c, 0, "system", text);
}

/* --- the request --- */

static hone_status fill_plain(chat *c, hone_request *r) {
    buf b;
    buf_init(&b, MAX_TEXT_BYTES);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < c->n_lines && status == HONE_OK; i++)
        status = buf_add_format(&b, "%s%s", i ? "\n\n" : "", c->lines[i].text);
    r->prompt_bytes = b.len;
    mem_free(c->text);
    c->text = status == HONE_OK ? buf_take(&b) : NULL;
    buf_release(&b);
    r->prompt = c->text;
    return status == HONE_OK && !c->text ? mem_fail("prompt", 1) : status;
}

hone_status chat_fill(chat *c, hone_request *r) {
    if (c->plain) return fill_plain(c, r);
    hone_message *messages = mem_calloc(c->n_lines, sizeof *messages);
    if (!messages) return mem_fail("prompt", c->n_lines * sizeof *messages);
    for (size_t i = 0; i < c->n_lines; i++) {
        chat_line *l = &c->lines[i];
        if (l->text) l->part = (hone_part){HONE_PART_TEXT, l->text, strlen(l->text)};
        messages[i] = l->borrowed ? *l->borrowed : (hone_message){l->role, &l->part, 1};
    }
    mem_free(c->messages);
    c->messages = messages;
    r->messages = messages;
    r->n_messages = c->n_lines;
    return HONE_OK;
}
