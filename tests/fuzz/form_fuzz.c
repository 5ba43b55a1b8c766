/* Uploads: any bytes as the body of a form, through a real listener on loopback. The first byte
 * chooses whether the form is multipart or urlencoded. Parts arrive in order, within the body. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/listener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static listener *server;

static bool on_part(void *user, const char *name, const char *file_name, const char *data,
                    size_t n) {
    size_t *total = user;
    (void)file_name;
    if (name && strlen(name) > 1 << 20) abort();
    volatile char byte;
    for (size_t i = 0; i < n; i++) byte = data[i]; /* every byte is there */
    (void)byte;
    *total += n;
    return true;
}

static bool admit(void *user, exchange *x) {
    (void)user, (void)x;
    return true;
}

static void handle(void *user, exchange *x) {
    size_t total = 0, n;
    (void)user;
    hone_status status = exchange_form(x, on_part, &total);
    exchange_body(x, &n);
    if (total > n) abort();
    exchange_reply(x, status == HONE_OK ? 200 : 400, "text/plain", "ok", 2);
}

static void open_server(void) {
    const listener_options options = {.host = "127.0.0.1", .max_body = 1 << 20,
                                      .max_bodies = 1 << 24, .max_connections = 64,
                                      .patience_ms = 10000, .admit = admit, .handle = handle};
    if (listener_open(&server, &options) != HONE_OK) abort();
}

static void send_all(int fd, const void *bytes, size_t n) {
    for (const char *at = bytes; n > 0;) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        at += sent;
        n -= (size_t)sent;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 1 << 16) return 0;
    if (!server) open_server();
    char head[256], answer[64];
    const char *type = data[0] & 1 ? "multipart/form-data; boundary=b"
                                   : "application/x-www-form-urlencoded";
    int n = snprintf(head, sizeof head,
                     "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                     type, size - 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(listener_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) abort();
    send_all(fd, head, (size_t)n);
    send_all(fd, data + 1, size - 1);
    ssize_t got = recv(fd, answer, sizeof answer, MSG_WAITALL);
    if (got < 12 || strncmp(answer, "HTTP/1.1 ", 9) != 0) abort(); /* always an answer */
    close(fd);
    return 0;
}
