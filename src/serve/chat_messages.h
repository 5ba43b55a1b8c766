/* Messages and tools in OpenAI's form, checked and made into the engine's (serve/chat.h). */
#ifndef SERVE_CHAT_MESSAGES_H
#define SERVE_CHAT_MESSAGES_H

#include "serve/chat.h"

hone_status chat_check_messages(const json_t *messages);
hone_status chat_check_tools(const json_t *tools);

/* The tool of that name, its "function" member; NULL: none. */
const json_t *chat_find_tool(const json_t *tools, const char *name, size_t n);

/* The engine's messages and the texts that they borrow. */
typedef struct chat_messages {
    json_t *own;            /* messages that were rewritten */
    hone_message *messages; /* [n] */
    size_t n;
    hone_part *parts;
    char **fields;          /* [n]; NULL where a message has none */
} chat_messages;

/* `tools`: NULL, or those that have to be described in the system message because the template
 * speaks of none; calls and their results become text then. The JSON must outlive *out. */
hone_status chat_messages_make(chat_messages *out, const json_t *messages, const json_t *tools);
void chat_messages_release(chat_messages *m);

#endif
