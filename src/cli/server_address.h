/* Where a server listens, as people write it: HOST, HOST:PORT, [::1]:PORT, http://HOST:PORT/. */
#ifndef CLI_SERVER_ADDRESS_H
#define CLI_SERVER_ADDRESS_H

#include <stdbool.h>

enum { SERVER_DEFAULT_PORT = 11435 };

typedef struct server_address {
    char host[256]; /* without brackets */
    int port;       /* −1: none was given */
    bool tls;
} server_address;

/* False, with a complaint, where it is none. */
bool server_address_parse(server_address *address, const char *text);

/* The address that a client's command asks: of the option, else $HONE_HOST and $HONE_PORT, else
 * $OLLAMA_HOST, else this machine's. */
bool server_address_choose(server_address *address, const char *option);

#endif
