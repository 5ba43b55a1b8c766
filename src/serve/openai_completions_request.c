/* Fields of completions (serve/openai_completions_request.h). */
#include "serve/openai_completions_request.h"

#include "serve/fields.h"
#include "serve/prompts.h"

hone_status openai_completions_request_read(openai_completions_request *q, openai_request *r) {
    const json_t *b = r->body;
    uint64_t max_tokens = 16, n_tries = r->n_choices, n_logprobs = 0;
    *q = (openai_completions_request){0};
    TRY(field_whole(b, "max_tokens", 0, 1 << 24, &max_tokens));
    TRY(json_get_bool(b, "echo", &q->echo));
    q->logprobs = field_find(b, "logprobs") != NULL;
    TRY(field_whole(b, "logprobs", 0, 20, &n_logprobs));
    TRY(field_whole(b, "best_of", r->n_choices, OPENAI_MAX_CHOICES, &n_tries));
    if (n_tries > r->n_choices && r->stream)
        return fail(HONE_ERR_ARGUMENT, "best_of compares whole answers: they cannot be streamed");
    if (prompts_count(field_find(b, "prompt")) * n_tries > PROMPTS_MAX)
        return fail(HONE_ERR_ARGUMENT, "more than %d completions in one request", PROMPTS_MAX);
    r->request.max_tokens = (size_t)max_tokens;
    r->request.prompt_only = max_tokens == 0;
    r->request.logprobs = q->logprobs || n_tries > r->n_choices;
    r->request.n_top_logprobs = (size_t)n_logprobs;
    r->request.prompt_logprobs = q->logprobs && q->echo;
    q->n_tries = (size_t)n_tries;
    q->n_logprobs = (size_t)n_logprobs;
    return HONE_OK;
}
