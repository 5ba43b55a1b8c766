/* Bodies of OpenAI's text endpoints: any bytes become a request or an error with words. The first
 * byte chooses the endpoint. With the reference data at hand the request is made ready for a tiny
 * model, so that messages, tools and schemas reach template, tokenizer and grammar. Each body is
 * also held to the description of the API. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "serve/description.h"
#include "serve/openai_chat_request.h"
#include "serve/openai_completions_request.h"
#include "serve/openai_responses_request.h"
#include "serve/prompts.h"
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hone_model *model;

static void open_model(void) {
    char path[512];
    static bool tried;
    if (tried || !test_shared()) return;
    tried = true;
    snprintf(path, sizeof path, "%s/golden/llama-smol", test_shared());
    if (hone_model_open(&model, path, NULL) != HONE_OK) model = NULL;
}

static void prepare(const chat_settings *s) {
    chat_prompt p;
    if (!model || chat_prepare(&p, s, model) != HONE_OK) return;
    if (p.n_ids == 0) abort();
    chat_prompt_release(&p);
}

/* Whatever the body: it fits the description, or there are words that can be shown. */
static void hold_to_description(const json_t *body) {
    static const char *const paths[] = {"/v1/chat/completions", "/v1/completions", "/v1/responses",
                                        "/v1/embeddings", "/api/chat", "/api/generate",
                                        "/api/create", "/tokenize"};
    static description *d;
    if (!d && description_open(&d) != HONE_OK) abort();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (description_check(d, "POST", paths[i], body) == HONE_OK) continue;
        const char *words = hone_error_message();
        if (!*words || !utf8_is_valid(words, strlen(words))) abort();
    }
}

static void read_request(openai_request *r, unsigned endpoint) {
    openai_chat_request chat;
    openai_responses_request responses;
    openai_completions_request completions;
    prompts list;
    switch (endpoint % 3) {
    case 0:
        if (openai_chat_request_read(&chat, r) == HONE_OK) prepare(&chat.chat);
        break;
    case 1:
        if (openai_responses_request_read(&responses, r) == HONE_OK) prepare(&responses.chat);
        openai_responses_request_release(&responses);
        break;
    default:
        if (openai_completions_request_read(&completions, r) != HONE_OK || !model) break;
        if (prompts_read(&list, json_object_get(r->body, "prompt"), "prompt", model) == HONE_OK)
            prompts_release(&list);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    openai_request r;
    if (size == 0 || size > 1 << 14) return 0;
    open_model();
    if (openai_request_read(&r, (const char *)data + 1, size - 1) != HONE_OK) {
        if (!hone_error_message()[0]) abort();
        return 0;
    }
    hold_to_description(r.body);
    read_request(&r, data[0]);
    openai_request_release(&r);
    return 0;
}
