/* What a model writes, told apart while it comes: thoughts, text for the reader, calls of tools.
 *
 * Calls are recognised in the forms that models were trained on; each is an object with "name" and
 * "arguments" (or "parameters"):
 *
 *     hermes    <tool_call>{…}</tool_call>, any number, anywhere (Hermes 2 Pro, Qwen 2.5, Qwen 3)
 *     mistral   [TOOL_CALLS] [{…}, {…}]
 *     json      {…} or {…}; {…} as the whole answer, maybe behind <|python_tag|> (Llama 3), only
 *               for names that the caller knows, since an answer may be any other JSON
 *
 * What begins like a call and is none is text. The result does not depend on how the text is cut
 * into pieces, but for where spans of one kind are parted. */
#ifndef TEXT_ANSWER_PARSER_H
#define TEXT_ANSWER_PARSER_H

#include "base/status.h"
#include "text/thoughts.h"

typedef enum call_format { CALLS_NONE, CALLS_HERMES, CALLS_MISTRAL, CALLS_JSON } call_format;

/* The form that the source of a chat template speaks of; CALLS_NONE: it knows no tools. */
call_format call_format_of_template(const char *source);

/* Whether this is one of the marks above or a thought's. Some vocabularies have control tokens for
 * them, which do not come as text: hand their text over all the same. */
bool answer_parser_is_mark(const char *text, size_t n);

typedef enum answer_span_kind {
    ANSWER_TEXT, ANSWER_THOUGHT,
    ANSWER_CALL,     /* a call begins: the text is the function's name */
    ANSWER_ARGUMENTS /* a piece of the arguments of the call that began last */
} answer_span_kind;

typedef struct answer_parser_options {
    call_format calls;
    bool thoughts;              /* look for one that the answer opens */
    const thought_tags *opened; /* of one that the prompt has opened; NULL: none */
    bool (*knows)(void *knows_user, const char *name, size_t n); /* CALLS_JSON: is it a tool? */
    void *knows_user;
    hone_status (*take)(void *user, answer_span_kind kind, const char *text, size_t n);
    void *user;
} answer_parser_options;

typedef struct answer_parser answer_parser;

hone_status answer_parser_open(answer_parser **out, const answer_parser_options *options);
void answer_parser_close(answer_parser *p); /* NULL is allowed */

/* The next piece, of whole UTF-8 characters; passes on what `take` returns. */
hone_status answer_parser_push(answer_parser *p, const char *text, size_t n);

/* The answer has ended: what was held back comes out. */
hone_status answer_parser_finish(answer_parser *p);

#endif
