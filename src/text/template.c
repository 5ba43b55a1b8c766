/* The outside of the template interpreter: source in, text and control spans out. */
#include "text/template.h"

#include <string.h>

#include "base/mem.h"
#include "text/jinja_int.h"

struct chat_template {
    mem_arena arena; /* source, tree */
    jinja_tree tree;
};

/* Line ends become "\n"; one at the very end is dropped, as jinja2 does. */
static size_t normalise(char *out, const char *source, size_t n) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        out[length++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (length && out[length - 1] == '\n') length--;
    return length;
}

static hone_status parse(chat_template *t, const char *source, size_t n) {
    char *copy = arena_alloc(&t->arena, n, 1);
    if (!copy) return HONE_ERR_MEMORY;
    size_t length = normalise(copy, source, n);
    mem_arena tokens_arena = {.max = JINJA_MAX_PARSE_MEMORY};
    const token *tokens;
    hone_status status = jinja_lex(copy, length, &tokens_arena, &tokens);
    if (status == HONE_OK) status = jinja_parse(tokens, &t->arena, &t->tree);
    arena_release(&tokens_arena);
    return status;
}

hone_status chat_template_open(chat_template **out, const char *source, size_t n) {
    if (n > JINJA_MAX_SOURCE)
        return fail(HONE_ERR_FORMAT, "template of %zu bytes, at most %d", n, JINJA_MAX_SOURCE);
    chat_template *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("template", sizeof *t);
    t->arena.max = JINJA_MAX_PARSE_MEMORY;
    hone_status status = parse(t, source, n);
    if (status != HONE_OK) {
        chat_template_close(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}

void chat_template_close(chat_template *t) {
    if (!t) return;
    arena_release(&t->arena);
    mem_free(t);
}

/* ---- render ---- */

static size_t count_control(const text_builder *b) {
    if (b->origin != FROM_BOTH) return b->n && b->origin == FROM_TEMPLATE;
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) n += !b->marks[i] && (i == 0 || b->marks[i - 1]);
    return n;
}

static void fill_control(const text_builder *b, text_span *spans) {
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->marks[i]) continue;
        if (i == 0 || b->marks[i - 1]) spans[n++].begin = i;
        spans[n - 1].end = i + 1;
    }
}

static hone_status take_output(const text_builder *b, template_output *out) {
    template_output made = {.n = b->n, .n_control = count_control(b)};
    made.text = mem_copy_string(b->bytes, b->n);
    made.control = mem_calloc(made.n_control, sizeof *made.control);
    if (!made.text || !made.control) {
        template_output_release(&made);
        return mem_fail("rendered chat", b->n);
    }
    if (b->origin == FROM_BOTH) fill_control(b, made.control);
    else if (made.n_control) made.control[0] = (text_span){.begin = 0, .end = b->n};
    *out = made;
    return HONE_OK;
}

hone_status chat_template_render(const chat_template *t, const json_t *variables,
                                 const struct tm *now, template_output *out) {
    text_builder output;
    interp in = {.tree = &t->tree, .variables = variables, .now = now, .out = &output};
    in.arena.max = JINJA_MAX_MEMORY;
    builder_init(&output, &in);
    hone_status status = jinja_run(&in);
    if (status != HONE_OK) fail_context(status, "template line %u", in.line);
    else status = take_output(&output, out);
    arena_release(&in.arena);
    return status;
}

void template_output_release(template_output *out) {
    mem_free(out->text);
    mem_free(out->control);
    *out = (template_output){0};
}
