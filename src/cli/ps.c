/* `hone ps` and `hone stop`: what a running server has loaded. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/http.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/server_address.h"

enum { MAX_ANSWER_BYTES = 1 << 20 };

/* Asks and parses. `post` NULL: GET. */
static hone_status ask(const server_address *a, const char *path, const char *post, json_t **answer,
                       long *http_status) {
    char url[512];
    bool six = strchr(a->host, ':') != NULL;
    snprintf(url, sizeof url, "http%s://%s%s%s:%d%s", a->tls ? "s" : "", six ? "[" : "", a->host,
             six ? "]" : "", a->port, path);
    const char *key = getenv("HONE_API_KEY");
    http_document d = {.url = url, .bearer_token = key && *key ? key : NULL, .post = post};
    buf body;
    buf_init(&body, MAX_ANSWER_BYTES);
    hone_status status = http_get(&d, &body);
    *http_status = d.http_status;
    if (status == HONE_OK) status = json_parse(answer, body.data, body.len, url);
    buf_release(&body);
    return status;
}

/* The words for what went wrong; `name` is the model that was meant, or NULL. */
static int complain(hone_status status, long http_status, const server_address *a,
                    const char *name) {
    if (http_status == 0 && status != HONE_ERR_CANCELLED && status != HONE_ERR_ARGUMENT)
        cli_error("no server answers on %s port %d (is `hone serve` running?): %s", a->host,
                  a->port, hone_error_message());
    else if (http_status == 401)
        cli_error("the server wants a key: set HONE_API_KEY");
    else if (http_status == 404 && name)
        cli_error("%s: the server knows no model of that name", name);
    else
        return cli_fail(status);
    return CLI_FAILED;
}

/* --- ps --- */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* "in 4 minutes" from RFC 3339. */
static void format_end(cli_text *out, const json_t *model) {
    struct tm utc = {.tm_isdst = 0};
    const char *text = text_of(model, "expires_at");
    if (json_is_true(json_object_get(model, "stays"))) {
        snprintf(out->text, sizeof out->text, "stays");
        return;
    }
    if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &utc)) {
        snprintf(out->text, sizeof out->text, "?");
        return;
    }
    double left = difftime(timegm(&utc), time(NULL));
    if (left < 90) snprintf(out->text, sizeof out->text, "in %.0f s", fmax(left, 0));
    else if (left < 5400) snprintf(out->text, sizeof out->text, "in %.0f min", left / 60);
    else snprintf(out->text, sizeof out->text, "in %.0f h", left / 3600);
}

static int print_models(const json_t *answer) {
    const json_t *models = json_object_get(answer, "models"), *m;
    size_t i;
    if (json_array_size(models) == 0) {
        fputs("nothing is loaded\n", stderr);
        return CLI_OK;
    }
    static const char *const headers[] = {"NAME", "SIZE", "MEMORY", "CONTEXT", "ANSWERS", "CLOSES"};
    cli_table table;
    cli_table_init(&table, "llrrrl", headers);
    json_array_foreach(models, i, m) {
        cli_text size, end;
        const json_t *details = json_object_get(m, "details");
        char *name = cli_printable(text_of(m, "name"));
        char *kind = cli_printable(text_of(details, "quantization_level"));
        char *parameters = cli_printable(text_of(details, "parameter_size"));
        json_int_t bytes = json_integer_value(json_object_get(m, "size"));
        format_end(&end, m);
        cli_table_add(&table, "%s", name ? name : "?");
        cli_table_add(&table, "%s %s", parameters ? parameters : "", kind ? kind : "");
        cli_table_add(&table, "%s", cli_format_bytes(&size, bytes > 0 ? (uint64_t)bytes : 0));
        cli_table_add(&table, "%lld",
                      (long long)json_integer_value(json_object_get(m, "context_length")));
        cli_table_add(&table, "%lld",
                      (long long)json_integer_value(json_object_get(m, "requests")));
        cli_table_add(&table, "%s", end.text);
        mem_free(name);
        mem_free(kind);
        mem_free(parameters);
    }
    return cli_table_print(&table);
}

#define HOST_OPTION(value)                                                                    \
    CLI_TEXT("host", 0, value, "ADDRESS",                                                     \
             "of the server, as 127.0.0.1:11435 (default: $HONE_HOST, $OLLAMA_HOST, or that)")

int cmd_ps(int argc, char **argv) {
    bool json = false;
    const char *host = NULL;
    const cli_option options[] = {
        CLI_FLAG("json", 0, &json, "print one JSON object"),
        HOST_OPTION(&host),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {.command = "ps",
                             .about = "Lists the models that a running server has loaded: the memory "
                                      "they take, the answers under way, and when they are closed if "
                                      "nobody asks for them. A key comes from $HONE_API_KEY.",
                             .examples = "hone ps\nhone ps --json --host 192.168.1.2:11435",
                             .options = options};
    cli_operands operands;
    server_address address;
    json_t *answer;
    long http_status = 0;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!server_address_choose(&address, host)) return CLI_USAGE;
    hone_status status = ask(&address, "/api/ps", NULL, &answer, &http_status);
    if (status != HONE_OK) return complain(status, http_status, &address, NULL);
    if (json) return cli_print_json(answer, false);
    code = print_models(answer);
    json_decref(answer);
    return code;
}

/* --- stop --- */

static int stop_one(const server_address *address, const char *name) {
    json_use_mem();
    json_t *answer, *body = json_pack("{s:s, s:i}", "model", name, "keep_alive", 0);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    long http_status = 0;
    json_decref(body);
    if (!text) {
        cli_error("\"%s\" is no name", name);
        return CLI_USAGE;
    }
    hone_status status = ask(address, "/api/generate", text, &answer, &http_status);
    mem_free(text);
    if (status != HONE_OK) return complain(status, http_status, address, name);
    json_decref(answer);
    printf("%s: closed\n", name);
    return CLI_OK;
}

int cmd_stop(int argc, char **argv) {
    const char *host = NULL;
    const cli_option options[] = {
        HOST_OPTION(&host),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {.command = "stop",
                             .operands = "MODEL…",
                             .about = "Closes models that a running server has loaded, when the answers "
                                      "under way have ended; the next request loads them again. A "
                                      "server ends with SIGTERM or Ctrl-C.",
                             .examples = "hone stop smollm2:135m",
                             .options = options,
                             .min_operands = 1,
                             .max_operands = 64};
    cli_operands operands;
    server_address address;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!server_address_choose(&address, host)) return CLI_USAGE;
    code = CLI_OK;
    for (size_t i = 0; i < operands.n; i++) {
        int end = stop_one(&address, operands.items[i]);
        if (end != CLI_OK) code = end;
    }
    return code;
}
