/* A conversation that a model is to go on with, by whatever API it came: messages, tools, thoughts
 * and the form of the answer go in; what the engine runs comes out, and a parser for what it
 * writes.
 *
 * Messages and tools are in the form of OpenAI's chat completions; other APIs translate theirs. */
#ifndef SERVE_CHAT_H
#define SERVE_CHAT_H

#include "base/json.h"
#include "hone/request.h"
#include "text/answer_parser.h"

enum { CHAT_MAX_MESSAGES = 4096, CHAT_MAX_TOOLS = 128, CHAT_MAX_NAME = 64 };

/* What an API's fields said. Everything is borrowed; zero means "not said". */
typedef struct chat_settings {
    const json_t *messages;    /* [{role, content, tool_calls, tool_call_id, name, …}] */
    const json_t *tools;       /* [{type: "function", function: {name, description, parameters}}] */
    enum { CHAT_TOOLS_AUTO, CHAT_TOOLS_NONE, CHAT_TOOLS_REQUIRED, CHAT_TOOLS_NAMED } choice;
    const char *tool_name;     /* NAMED */
    bool one_call;             /* no parallel calls */
    enum { CHAT_FORM_TEXT, CHAT_FORM_JSON, CHAT_FORM_SCHEMA } form;
    const json_t *schema;      /* FORM_SCHEMA */
    const char *effort;        /* "none", "minimal", "low", "medium", "high", "xhigh" */
    bool limit_thinking;       /* to so many tokens, whatever the effort says: */
    uint64_t thinking_budget;
    const json_t *variables;   /* {"enable_thinking": false, …} for the template: no texts */
} chat_settings;

/* An effort's budget of thoughts, in tokens; UINT64_MAX: none. HONE_ERR_ARGUMENT: no effort. */
hone_status chat_effort_budget(const char *effort, uint64_t *n_tokens);

/* Checks the shapes of messages, tools and variables before a model is at hand. */
hone_status chat_check(const chat_settings *s);

/* A conversation made ready for one model. */
typedef struct chat_prompt {
    const hone_model *model;
    const json_t *tools;        /* borrowed; NULL where none may be called */
    int32_t *ids;
    size_t n_ids;
    char *variables;            /* of the template: for prompts that are rendered anew */
    hone_grammar *grammar;      /* NULL: the answer is free */
    call_format calls;
    const thought_tags *opened; /* by the prompt */
} chat_prompt;

/* Renders, tokenises and compiles. HONE_ERR_FORMAT, HONE_ERR_UNSUPPORTED or HONE_ERR_ARGUMENT with
 * words for the client. */
hone_status chat_prepare(chat_prompt *out, const chat_settings *s, const hone_model *model);
void chat_prompt_release(chat_prompt *p);

/* Sets the request's prompt, template variables, grammar and budget of thoughts. */
void chat_fill_request(const chat_prompt *p, const chat_settings *s, hone_request *request);

/* The text that the template makes of it, freed with hone_free. */
hone_status chat_render_text(const chat_settings *s, const hone_model *model, char **text);

/* A parser for one answer; chat_read feeds it, also with the marks that are control tokens. */
hone_status chat_open_parser(answer_parser **out, const chat_prompt *p,
                             hone_status (*take)(void *user, answer_span_kind kind,
                                                 const char *text, size_t n),
                             void *user);
hone_status chat_read(answer_parser *parser, const chat_prompt *p, const hone_piece *piece);

#endif
