/* Following the tags of thoughts (infer/thinking.h). */
#include "infer/thinking.h"

#include <string.h>

#include "base/mem.h"

/* A tag is a token or a few; so many at the prompt's end surely hold one and white space. */
#define TOKENS_TO_LOOK_AT 12

hone_status thinking_init(thinking *t, const hone_model *m, const int32_t *prompt, size_t n) {
    char *text;
    size_t bytes, look = n < TOKENS_TO_LOOK_AT ? n : TOKENS_TO_LOOK_AT;
    *t = (thinking){.state = THINKING_NOT_YET};
    TRY(tokenizer_decode(m->tokenizer, prompt + n - look, look, true, &text, &bytes));
    t->tags = thoughts_opened_by(text, bytes);
    if (t->tags) t->state = THINKING_NOW;
    mem_free(text);
    return HONE_OK;
}

void thinking_release(thinking *t) {
    token_list_release(&t->closing);
    *t = (thinking){0};
}

/* Keeps the end of what was written, of which a tag is the most that matters. */
static void keep_tail(thinking *t, const char *bytes, size_t n) {
    if (n > sizeof t->tail) bytes += n - sizeof t->tail, n = sizeof t->tail;
    size_t old = t->n_tail + n > sizeof t->tail ? sizeof t->tail - n : t->n_tail;
    memmove(t->tail, t->tail + t->n_tail - old, old);
    memcpy(t->tail + old, bytes, n);
    t->n_tail = old + n;
}

static bool tail_holds(const thinking *t, const char *tag) {
    return memmem(t->tail, t->n_tail, tag, strlen(tag)) != NULL;
}

hone_status thinking_take(thinking *t, const hone_model *m, int32_t token) {
    const char *bytes;
    size_t n;
    bool maybe;
    if (t->state == THINKING_OVER) return HONE_OK;
    TRY(tokenizer_piece(m->tokenizer, token, true, &bytes, &n));
    if (t->state == THINKING_NOT_YET) {
        bool full = t->n_tail + n > sizeof t->tail;
        keep_tail(t, bytes, n);
        t->tags = thoughts_begin_in(t->tail, t->n_tail, &maybe);
        if (t->tags) t->state = THINKING_NOW;
        else if (!maybe || full) t->state = THINKING_OVER;
        return HONE_OK;
    }
    keep_tail(t, bytes, n);
    t->n_tokens++;
    if (tail_holds(t, t->tags->close)) t->state = THINKING_OVER;
    return HONE_OK;
}

static hone_status write_closing(thinking *t, const hone_model *m) {
    char text[THOUGHT_TAG_BYTES + 8];
    int n = snprintf(text, sizeof text, "\n%s\n\n", t->tags->close);
    const text_span tag = {1, 1 + strlen(t->tags->close)};
    return tokenizer_encode(m->tokenizer, text, (size_t)n, &tag, 1, 0, &t->closing);
}

hone_status thinking_force(thinking *t, const hone_model *m, size_t budget, int32_t *token) {
    *token = -1;
    t->forced = false;
    if (t->n_forced == 0 && (t->state != THINKING_NOW || t->n_tokens < budget)) return HONE_OK;
    if (t->closing.n == 0) TRY(write_closing(t, m));
    if (t->n_forced == t->closing.n) return HONE_OK;
    *token = t->closing.ids[t->n_forced++];
    t->forced = true;
    return HONE_OK;
}
