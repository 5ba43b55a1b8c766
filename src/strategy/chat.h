/* A prompt under construction: a request's conversation, changed and continued.
 *
 * A request of plain text (for models without a chat template) is a conversation of one message,
 * and what is added to it stands behind it after an empty line. */
#ifndef STRATEGY_CHAT_H
#define STRATEGY_CHAT_H

#include "hone/request.h"

typedef struct chat_line {
    const hone_message *borrowed; /* of the request, as it is; or NULL and the next two */
    const char *role;
    char *text;
    hone_part part;
} chat_line;

typedef struct chat {
    bool plain;
    chat_line *lines;
    size_t n_lines, capacity;
    hone_message *messages; /* what chat_fill made; or, of a plain one, the text */
    char *text;
} chat;

/* The request's messages stay borrowed. HONE_ERR_ARGUMENT without messages or prompt, or where no
 * message is a user's. */
hone_status chat_init(chat *c, const hone_request *request);
hone_status chat_copy(chat *c, const chat *from);
void chat_release(chat *c); /* a zeroed one is allowed */

/* Adds a message; the text is copied. */
hone_status chat_add(chat *c, const char *role, const char *text);

/* The text of the user's last message, freed with mem_free; and another one in its place. */
hone_status chat_question(const chat *c, char **text);
hone_status chat_set_question(chat *c, const char *text);

/* Puts a text behind the question. */
hone_status chat_add_to_question(chat *c, const char *text);

/* Adds a message right before the question. */
hone_status chat_add_before_question(chat *c, const char *role, const char *text);

/* Puts a text behind the system message, or makes one. */
hone_status chat_add_system(chat *c, const char *text);

/* Makes the request's messages, or its prompt, those of the chat; they live as long as the chat is
 * neither changed nor released. */
hone_status chat_fill(chat *c, hone_request *request);

#endif
