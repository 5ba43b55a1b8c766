/* The connection to libmicrohttpd (serve/listener.h). */
#include "serve/listener.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/system.h"
#include "serve/deadlines.h"

enum { STREAM_BYTES = 16384, MAX_EXTRA_HEADERS = 16, HEAD_BYTES = 32768 };

/* Of a body that is thrown away: closing the socket on a small one could lose the answer. */
#define UNWELCOME_BYTES 65536

/* TLS 1.2 and 1.3 only. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct listener {
    struct MHD_Daemon *daemon;
    listener_options options;
    deadlines *deadlines;
    atomic_uint_fast64_t n_exchanges;
    atomic_size_t body_bytes; /* of all exchanges */
    uint32_t salt; /* so that ids of two runs differ */
};

struct exchange {
    listener *l;
    struct MHD_Connection *connection;
    char *method, *path;
    char id[40], request_id[65] /* the client's; "" = none */, client[INET6_ADDRSTRLEN];
    deadline *deadline; /* of its connection; may be NULL */
    void *state;
    buf body;
    struct { /* where the body goes instead */
        bool (*take)(void *state, const char *data, size_t n);
        void (*close)(void *state);
        void *state;
        uint64_t n, max;
    } diversion;
    bool welcome;    /* the body is wanted */
    size_t n_thrown; /* bytes of one that is not */
    unsigned status;
    struct { char *name, *value; } headers[MAX_EXTRA_HEADERS];
    size_t n_headers;
    enum MHD_Result queued;
    bool answered;
};

/* --- exchanges --- */

static void exchange_close(exchange *x) {
    for (size_t i = 0; i < x->n_headers; i++) {
        mem_free(x->headers[i].name);
        mem_free(x->headers[i].value);
    }
    atomic_fetch_sub(&x->l->body_bytes, x->body.len);
    buf_release(&x->body);
    if (x->diversion.close) x->diversion.close(x->diversion.state);
    mem_free(x->state);
    mem_free(x->method);
    mem_free(x->path);
    mem_free(x);
}

static void find_client(exchange *x) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info) return;
    const struct sockaddr *a = info->client_addr;
    const void *number = a->sa_family == AF_INET6
                             ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
                             : (const void *)&((const struct sockaddr_in *)a)->sin_addr;
    inet_ntop(a->sa_family, number, x->client, sizeof x->client);
}

static void find_request_id(exchange *x) {
    const char *given = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "X-Request-Id");
    size_t n = given ? strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789._:-") : 0;
    if (n > 0 && n < sizeof x->request_id && !given[n]) memcpy(x->request_id, given, n + 1);
}

static exchange *exchange_open(listener *l, struct MHD_Connection *c, const char *path,
                               const char *method) {
    exchange *x = mem_calloc(1, sizeof *x);
    if (!x) return NULL;
    x->l = l;
    x->connection = c;
    x->deadline = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    x->state = mem_calloc(1, l->options.state_bytes);
    buf_init(&x->body, l->options.max_body);
    x->method = mem_copy_string(method, strlen(method));
    x->path = mem_copy_string(path, strlen(path));
    snprintf(x->id, sizeof x->id, "req-%08x-%llu", l->salt,
             (unsigned long long)atomic_fetch_add(&l->n_exchanges, 1));
    find_client(x);
    find_request_id(x);
    if (x->state && x->method && x->path) return x;
    exchange_close(x);
    return NULL;
}

const char *exchange_method(const exchange *x) { return x->method; }
const char *exchange_path(const exchange *x) { return x->path; }
const char *exchange_client(const exchange *x) { return x->client; }
const char *exchange_id(const exchange *x) { return x->id; }
const char *exchange_request_id(const exchange *x) {
    return x->request_id[0] ? x->request_id : x->id;
}
unsigned exchange_status(const exchange *x) { return x->status; }
void *exchange_state(exchange *x) { return x->state; }

const char *exchange_header(const exchange *x, const char *name) {
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *exchange_body(const exchange *x, size_t *n) {
    *n = x->body.len;
    return x->body.data ? x->body.data : "";
}

void exchange_divert(exchange *x, uint64_t max,
                     bool (*take)(void *state, const char *data, size_t n),
                     void (*close)(void *state), void *state) {
    x->diversion.take = take;
    x->diversion.close = close;
    x->diversion.state = state;
    x->diversion.max = max;
}

void *exchange_diverted(const exchange *x) { return x->diversion.state; }

bool exchange_is_gone(const exchange *x) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info) return true;
    struct pollfd fd = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

/* --- forms --- */

typedef struct form_walk {
    bool (*part)(void *user, const char *name, const char *file_name, const char *data, size_t n);
    void *user;
} form_walk;

static enum MHD_Result walk_form(void *user, enum MHD_ValueKind kind, const char *name,
                                 const char *file_name, const char *type, const char *encoding,
                                 const char *data, uint64_t offset, size_t n) {
    (void)kind, (void)type, (void)encoding, (void)offset;
    const form_walk *w = user;
    return w->part(w->user, name, file_name, data, n) ? MHD_YES : MHD_NO;
}

hone_status exchange_form(const exchange *x,
                          bool (*part)(void *user, const char *name, const char *file_name,
                                       const char *data, size_t n),
                          void *user) {
    enum { FORM_BYTES = 65536 };
    form_walk walk = {part, user};
    struct MHD_PostProcessor *p =
        MHD_create_post_processor(x->connection, FORM_BYTES, walk_form, &walk);
    if (!p) return fail(HONE_ERR_FORMAT, "the body is no form (multipart/form-data was expected)");
    bool whole = x->body.len == 0 || MHD_post_process(p, x->body.data, x->body.len) == MHD_YES;
    whole &= MHD_destroy_post_processor(p) == MHD_YES;
    return whole ? HONE_OK : fail(HONE_ERR_FORMAT, "the form is malformed or breaks off");
}

/* --- answers --- */

void exchange_add_header(exchange *x, const char *name, const char *value) {
    if (x->n_headers == MAX_EXTRA_HEADERS) return;
    char *copy = mem_copy_string(name, strlen(name)), *what = mem_copy_string(value, strlen(value));
    if (copy && what) {
        x->headers[x->n_headers].name = copy;
        x->headers[x->n_headers++].value = what;
    } else {
        mem_free(copy);
        mem_free(what);
    }
}

static void answer(exchange *x, unsigned status, const char *type, struct MHD_Response *response) {
    if (!response) return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, "X-Request-Id", exchange_request_id(x));
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < x->n_headers; i++)
        MHD_add_response_header(response, x->headers[i].name, x->headers[i].value);
    x->status = status;
    x->answered = true;
    x->queued = MHD_queue_response(x->connection, status, response);
    MHD_destroy_response(response);
}

void exchange_reply(exchange *x, unsigned status, const char *type, const void *body, size_t n) {
    deadline_add_bytes(x->l->deadlines, x->deadline, n);
    answer(x, status, type,
           MHD_create_response_from_buffer(n, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY));
}

typedef struct stream {
    exchange *x;
    ssize_t (*next)(void *state, char *out, size_t room);
    void (*release)(void *state);
    void *state;
} stream;

static ssize_t read_stream(void *user, uint64_t offset, char *out, size_t room) {
    (void)offset;
    stream *s = user;
    exchange *x = s->x;
    deadline_pause(x->l->deadlines, x->deadline);
    ssize_t n = s->next(s->state, out, room);
    if (n > 0) deadline_add_bytes(x->l->deadlines, x->deadline, (size_t)n);
    deadline_expect_more(x->l->deadlines, x->deadline);
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void release_stream(void *user) {
    stream *s = user;
    s->release(s->state);
    mem_free(s);
}

void exchange_stream(exchange *x, unsigned status, const char *type,
                     ssize_t (*next)(void *state, char *out, size_t room),
                     void (*release)(void *state), void *state) {
    stream *s = mem_alloc(sizeof *s);
    if (s) *s = (stream){x, next, release, state};
    struct MHD_Response *response =
        s ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream, s,
                                              release_stream)
          : NULL;
    if (!response) {
        release(state);
        mem_free(s);
        return;
    }
    answer(x, status, type, response);
}

/* --- the daemon --- */

static enum MHD_Result refuse(exchange *x, unsigned status, const char *words) {
    char text[256];
    int n = snprintf(text, sizeof text, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\","
                     "\"param\":null,\"code\":null}}", words,
                     status < 500 ? "invalid_request_error" : "server_error");
    exchange_reply(x, status, "application/json", text, (size_t)n);
    return x->queued;
}

static enum MHD_Result answer_exchange(exchange *x) {
    deadline_pause(x->l->deadlines, x->deadline);
    x->l->options.handle(x->l->options.user, x);
    deadline_expect_more(x->l->deadlines, x->deadline);
    return x->answered ? x->queued : MHD_NO;
}

/* The head has come: the body may follow, or the answer is given at once. */
static enum MHD_Result take_head(exchange *x) {
    const listener_options *o = &x->l->options;
    const char *length = exchange_header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool chunked = exchange_header(x, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
    unsigned long long announced = length ? strtoull(length, NULL, 10) : 0;
    if (length && chunked) /* which of them holds is how requests are smuggled past a proxy */
        return refuse(x, 400, "a body has a length or comes in chunks, not both");
    x->welcome = o->admit(o->user, x);
    if (!x->welcome)
        return chunked || announced > UNWELCOME_BYTES ? answer_exchange(x) : MHD_YES;
    if (announced > (x->diversion.take ? x->diversion.max : o->max_body))
        return refuse(x, 413, "the request is larger than this server takes");
    if (x->diversion.take) return MHD_YES;
    if (announced + atomic_load(&x->l->body_bytes) > o->max_bodies) {
        exchange_add_header(x, "Retry-After", "10");
        return refuse(x, 503, "the server holds as many large requests as it can");
    }
    return MHD_YES;
}

/* Bytes of the body; false ends the connection. */
static bool take_body(exchange *x, const char *data, size_t n) {
    listener *l = x->l;
    deadline_add_bytes(l->deadlines, x->deadline, n);
    if (!x->welcome) return (x->n_thrown += n) <= UNWELCOME_BYTES;
    if (x->diversion.take)
        return (x->diversion.n += n) <= x->diversion.max &&
               x->diversion.take(x->diversion.state, data, n);
    if (buf_add(&x->body, data, n) != HONE_OK) return false;
    return atomic_fetch_add(&l->body_bytes, n) + n <= l->options.max_bodies;
}

static enum MHD_Result on_access(void *user, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version, const char *data,
                                 size_t *n, void **state) {
    (void)version;
    exchange *x = *state;
    if (!x) {
        *state = x = exchange_open(user, connection, path, method);
        return x ? take_head(x) : MHD_NO;
    }
    if (*n) {
        bool go_on = take_body(x, data, *n);
        *n = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    return answer_exchange(x);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    (void)connection, (void)code;
    listener *l = user;
    exchange *x = *state;
    if (!x) return;
    deadline_expect_head(l->deadlines, x->deadline);
    exchange_close(x);
    *state = NULL;
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    listener *l = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *context = deadlines_enter(
            l->deadlines,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    else
        deadlines_leave(l->deadlines, *context);
}

static hone_status make_address(const listener_options *o, struct sockaddr_storage *address) {
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, o->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(o->port);
    } else if (inet_pton(AF_INET6, o->host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(o->port);
    } else {
        return fail(HONE_ERR_ARGUMENT, "%s is no address such as 127.0.0.1 or ::1", o->host);
    }
    return HONE_OK;
}

static hone_status start_daemon(listener *l, const struct sockaddr *address) {
    const listener_options *o = &l->options;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | (o->certificate ? MHD_USE_TLS : 0) |
                     (address->sa_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    l->daemon = MHD_start_daemon(
        flags, o->port, NULL, NULL, on_access, l, MHD_OPTION_SOCK_ADDR, address,
        MHD_OPTION_CONNECTION_LIMIT, o->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        o->max_connections_each, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_ARRAY,
        o->certificate ? tls : tls + 3, MHD_OPTION_END);
    if (l->daemon) return HONE_OK;
    return fail(HONE_ERR_IO, o->certificate
                    ? "%s port %u cannot be opened (is another program using it? are certificate "
                      "and key right?)"
                    : "%s port %u cannot be opened (is another program using it?)",
                o->host, o->port);
}

hone_status listener_open(listener **out, const listener_options *options) {
    struct sockaddr_storage address;
    *out = NULL;
    TRY(make_address(options, &address));
    listener *l = mem_calloc(1, sizeof *l);
    if (!l) return mem_fail("server", sizeof *l);
    l->options = *options;
    l->salt = (uint32_t)system_random();
    hone_status status = deadlines_open(&l->deadlines, options->patience_ms);
    if (status == HONE_OK) status = start_daemon(l, (struct sockaddr *)&address);
    if (status != HONE_OK) {
        listener_close(l);
        return status;
    }
    *out = l;
    return HONE_OK;
}

uint16_t listener_port(const listener *l) {
    return MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void listener_close(listener *l) {
    if (!l) return;
    if (l->daemon) MHD_stop_daemon(l->daemon);
    deadlines_close(l->deadlines);
    mem_free(l);
}
