/* A body of /api/generate or /api/chat, checked and turned into a hone_request. */
#ifndef SERVE_OLLAMA_REQUEST_H
#define SERVE_OLLAMA_REQUEST_H

#include "serve/chat.h"
#include "serve/models.h"
#include "serve/ollama_options.h"

typedef struct ollama_request {
    json_t *body; /* texts below belong to it */
    bool chat, stream, raw;
    const char *model;
    bool only_load;      /* nothing is asked: the model is loaded, or unloaded */
    bool has_keep;
    int64_t keep_ms;
    bool truncate;       /* older messages may be left out of a chat that is too long */
    bool logprobs;
    size_t n_dropped;    /* of such messages */
    /* With the model at hand: */
    json_t *messages;    /* the conversation in the form of serve/chat.h */
    json_t *variables;
    chat_settings settings;
    bool templated; /* `prompt` is valid: the template's words, a parser for thoughts and calls */
    chat_prompt prompt;
    int32_t *ids;        /* the prompt where it is not the template's alone */
    hone_grammar *grammar;
    ollama_options options;
    hone_request request;
} ollama_request;

/* Reads what needs no model. HONE_ERR_FORMAT or HONE_ERR_ARGUMENT names the field,
 * HONE_ERR_UNSUPPORTED one that hone cannot honour. */
hone_status ollama_request_read(ollama_request *r, bool chat, const char *body, size_t n);

/* With the model at hand: options, prompt, grammar. */
hone_status ollama_request_prepare(ollama_request *r, const served_model *served);
void ollama_request_release(ollama_request *r);

/* For fuzzing and for both of the above: messages in Ollama's form to OpenAI's, appended to `list`.
 * */
hone_status ollama_translate_messages(json_t *list, const json_t *messages);

#endif
