/* Fields of completions (serve/openai_completions_request.h). */
#include "serve/openai_completions_request.h"

#include "serve/fields.h"
#include "serve/prompts.h"

static const openai_field fields[] = {
    {"prompt", FIELD_READ}, {"model", FIELD_READ}, {"n", FIELD_READ}, {"best_of", FIELD_READ},
    {"stream", FIELD_READ}, {"stream_options", FIELD_READ}, {"max_tokens", FIELD_READ},
    {"echo", FIELD_READ}, {"logprobs", FIELD_READ}, {"temperature", FIELD_READ},
    {"top_p", FIELD_READ}, {"top_k", FIELD_READ}, {"min_p", FIELD_READ},
    {"repetition_penalty", FIELD_READ}, {"presence_penalty", FIELD_READ},
    {"frequency_penalty", FIELD_READ}, {"logit_bias", FIELD_READ}, {"seed", FIELD_READ},
    {"stop", FIELD_READ}, {"ignore_eos", FIELD_READ}, {"user", FIELD_IDLE},
    {"suffix", FIELD_REFUSED},
};

hone_status openai_completions_request_read(openai_completions_request *q, openai_request *r) {
    const json_t *b = r->body;
    uint64_t max_tokens = 16, n_tries = r->n_choices, n_logprobs = 0;
    *q = (openai_completions_request){0};
    TRY(openai_check_fields(b, fields, sizeof fields / sizeof *fields));
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
