/* From settings to what the engine runs, from its pieces to parts of the answer (serve/chat.h). */
#include "serve/chat.h"

#include <string.h>

#include "base/mem.h"
#include "hone/model.h"
#include "serve/chat_grammar.h"
#include "serve/chat_messages.h"
#include "serve/fields.h"

/* --- checks --- */

hone_status chat_effort_budget(const char *effort, uint64_t *n_tokens) {
    static const struct { const char *name; uint64_t n_tokens; } known[] = {
        {"none", 0}, {"minimal", 128}, {"low", 1024}, {"medium", 8192}, {"high", UINT64_MAX},
        {"xhigh", UINT64_MAX}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(effort, known[i].name)) {
            *n_tokens = known[i].n_tokens;
            return HONE_OK;
        }
    return fail(HONE_ERR_ARGUMENT,
                "reasoning_effort %s is none of none, minimal, low, medium, high, xhigh", effort);
}

/* Texts among a template's variables would count as its own words, control tokens too. */
static hone_status check_variables(const json_t *variables) {
    const char *key;
    json_t *value;
    if (!json_is_object(variables))
        return fail(HONE_ERR_ARGUMENT, "chat_template_kwargs must be an object");
    json_object_foreach((json_t *)(uintptr_t)variables, key, value)
        if (!json_is_boolean(value) && !json_is_number(value))
            return fail(HONE_ERR_UNSUPPORTED,
                        "chat_template_kwargs: %s is %s; only true, false and numbers are taken",
                        key, json_type_name(value));
    return HONE_OK;
}

hone_status chat_check(const chat_settings *s) {
    uint64_t budget;
    TRY(chat_check_messages(s->messages));
    if (s->tools) TRY(chat_check_tools(s->tools));
    if (s->effort) TRY(chat_effort_budget(s->effort, &budget));
    if (s->variables) TRY(check_variables(s->variables));
    if (s->choice == CHAT_TOOLS_NAMED &&
        !chat_find_tool(s->tools, s->tool_name, strlen(s->tool_name)))
        return fail(HONE_ERR_ARGUMENT, "tool_choice names %s, which is none of the tools",
                    s->tool_name);
    if (s->choice == CHAT_TOOLS_REQUIRED && json_array_size(s->tools) == 0)
        return fail(HONE_ERR_ARGUMENT, "tool_choice needs tools");
    return HONE_OK;
}

/* --- rendering --- */

/* The tools that may be called; NULL: none. */
static const json_t *callable(const chat_settings *s) {
    return s->choice != CHAT_TOOLS_NONE && json_array_size(s->tools) ? s->tools : NULL;
}

static call_format format_of(const hone_model *model) {
    const char *source = hone_model_chat_template(model);
    return source ? call_format_of_template(source) : CALLS_NONE;
}

static hone_status budget_of(const chat_settings *s, uint64_t *budget) {
    *budget = UINT64_MAX;
    if (s->effort) TRY(chat_effort_budget(s->effort, budget));
    if (s->limit_thinking) *budget = s->thinking_budget;
    return HONE_OK;
}

/* The template's own switches. */
static hone_status make_variables(char **text, const chat_settings *s) {
    uint64_t budget;
    TRY(budget_of(s, &budget));
    json_t *all = json_object();
    if (s->effort || s->limit_thinking)
        json_object_set_new(all, "enable_thinking", json_boolean(budget > 0));
    if (s->effort && strcmp(s->effort, "none") != 0)
        json_object_set_new(all, "reasoning_effort", json_string(s->effort));
    if (s->variables) json_object_update(all, (json_t *)(uintptr_t)s->variables);
    *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return *text ? HONE_OK : mem_fail("template variables", 1);
}

static hone_status render(const chat_settings *s, const hone_model *model, const char *variables,
                          char **text, int32_t **ids, size_t *n_ids) {
    const json_t *tools = callable(s);
    bool described = tools && format_of(model) == CALLS_NONE;
    chat_messages messages = {0};
    char *tools_text = NULL;
    hone_status status = chat_messages_make(&messages, s->messages, described ? tools : NULL);
    if (status == HONE_OK && tools && !described) {
        tools_text = json_dumps(tools, JSON_COMPACT);
        if (!tools_text) status = mem_fail("tools", 1);
    }
    if (status == HONE_OK)
        status = hone_render_chat(model, messages.messages, messages.n, tools_text, variables, text,
                                  ids, n_ids);
    mem_free(tools_text);
    chat_messages_release(&messages);
    return status;
}

hone_status chat_render_text(const chat_settings *s, const hone_model *model, char **text) {
    char *variables;
    TRY(make_variables(&variables, s));
    hone_status status = render(s, model, variables, text, NULL, NULL);
    mem_free(variables);
    return status;
}

/* --- what the engine runs --- */

hone_status chat_prepare(chat_prompt *out, const chat_settings *s, const hone_model *model) {
    char *text;
    chat_prompt p = {.model = model, .tools = callable(s)};
    TRY(make_variables(&p.variables, s));
    hone_status status = render(s, model, p.variables, &text, &p.ids, &p.n_ids);
    if (status != HONE_OK) {
        mem_free(p.variables);
        return status;
    }
    p.opened = thoughts_opened_by(text, strlen(text));
    hone_free(text);
    bool must_call = s->choice == CHAT_TOOLS_REQUIRED || s->choice == CHAT_TOOLS_NAMED;
    if (p.tools) p.calls = format_of(model);
    if (p.tools && p.calls == CALLS_NONE) p.calls = CALLS_HERMES; /* as it was told to */
    if (p.calls == CALLS_MISTRAL && must_call)
        p.calls = CALLS_JSON; /* no grammar writes the mark */
    status = p.n_ids ? chat_grammar_make(&p.grammar, s, p.calls, model)
                     : fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    if (status == HONE_OK) *out = p;
    else chat_prompt_release(&p);
    return status;
}

void chat_prompt_release(chat_prompt *p) {
    hone_grammar_close(p->grammar);
    hone_free(p->ids);
    mem_free(p->variables);
    *p = (chat_prompt){0};
}

void chat_fill_request(const chat_prompt *p, const chat_settings *s, hone_request *request) {
    uint64_t budget = UINT64_MAX;
    request->prompt_ids = p->ids;
    request->n_prompt_ids = p->n_ids;
    request->variables_json = p->variables;
    request->grammar = p->grammar;
    (void)budget_of(s, &budget); /* was checked */
    request->limit_thinking = budget != UINT64_MAX;
    request->thinking_budget = (size_t)budget;
}

/* --- answers --- */

static bool knows_tool(void *user, const char *name, size_t n) {
    const chat_prompt *p = user;
    return chat_find_tool(p->tools, name, n) != NULL;
}

hone_status chat_open_parser(answer_parser **out, const chat_prompt *p,
                             hone_status (*take)(void *user, answer_span_kind kind,
                                                 const char *text, size_t n),
                             void *user) {
    const answer_parser_options options = {
        .calls = p->calls, .thoughts = true, .opened = p->opened, .knows = knows_tool,
        .knows_user = (void *)(uintptr_t)p, .take = take, .user = user};
    return answer_parser_open(out, &options);
}

hone_status chat_read(answer_parser *parser, const chat_prompt *p, const hone_piece *piece) {
    if (piece->n_bytes) return answer_parser_push(parser, piece->text, piece->n_bytes);
    if (piece->token < 0) return HONE_OK;
    char *mark;
    size_t n;
    TRY(hone_detokenize(p->model, &piece->token, 1, true, &mark, &n));
    hone_status status =
        answer_parser_is_mark(mark, n) ? answer_parser_push(parser, mark, n) : HONE_OK;
    hone_free(mark);
    return status;
}
