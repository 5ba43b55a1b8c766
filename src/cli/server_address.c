#include "cli/server_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static bool read_port(const char *text, int *port) {
    char *end;
    long value = strtol(text, &end, 10);
    *port = (int)value;
    return end != text && (!*end || *end == '/') && value >= 0 && value <= 65535;
}

bool server_address_parse(server_address *address, const char *text) {
    const char *at = text, *scheme = strstr(text, "://");
    *address = (server_address){.port = -1, .tls = !strncmp(text, "https://", 8)};
    if (scheme) at = scheme + 3;
    bool six = *at == '[', bare_six = !six && strchr(at, ':') && strchr(strchr(at, ':') + 1, ':');
    size_t n = six ? strcspn(++at, "]") : bare_six ? strlen(at) : strcspn(at, ":/");
    const char *behind = at + n + (six && at[n] == ']');
    bool fine = n > 0 && n < sizeof address->host;
    if (fine && *behind == ':') fine = read_port(behind + 1, &address->port);
    if (!fine) {
        cli_error("\"%s\" is no address such as 127.0.0.1, 127.0.0.1:%d or [::1]:%d", text,
                  SERVER_DEFAULT_PORT, SERVER_DEFAULT_PORT);
        return false;
    }
    memcpy(address->host, at, n);
    address->host[n] = '\0';
    return true;
}

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

bool server_address_choose(server_address *address, const char *option) {
    const char *own = variable("HONE_HOST"), *port = variable("HONE_PORT");
    const char *text = option ? option : own ? own : variable("OLLAMA_HOST");
    if (!server_address_parse(address, text ? text : "127.0.0.1")) return false;
    if (!option && port && address->port < 0 && !read_port(port, &address->port)) {
        cli_error("$HONE_PORT is no port: \"%s\"", port);
        return false;
    }
    if (address->port < 0) address->port = SERVER_DEFAULT_PORT;
    /* Where a server listens on all addresses, it is also to be had here. */
    if (!strcmp(address->host, "0.0.0.0")) strcpy(address->host, "127.0.0.1");
    if (!strcmp(address->host, "::")) strcpy(address->host, "::1");
    return true;
}
