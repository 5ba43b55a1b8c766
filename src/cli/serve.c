/* `hone serve`: the HTTP server, until a signal ends it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/profile_option.h"
#include "cli/server_address.h"
#include "cli/settings.h"
#include "serve/ollama_options.h"
#include "serve/server.h"
#include "weights/paths.h"

enum {
    DRAIN_MS = 30000,
    DEFAULT_SLOTS = 8,
    STALL_MS = 250, /* docs/serving.md says so */
};
#define MAX_FILE_BYTES (1 << 20)

typedef struct serve_settings {
    const char *host, *key_file, *certificate, *key, *memory, *cache, *body, *keep_alive, *config;
    server_address address;
    int64_t port, slots, context, threads, queue, max_models, load_wait;
    int64_t keep_ms;
    int64_t connections, patience, wait_limit, time_limit, requests, tokens;
    cli_texts origins, hosts;
    uint64_t memory_bytes, cache_bytes, body_bytes;
    bool open_to_all, quiet, adapt, run_code, no_profile, exact;
    int kv, log;
} serve_settings;

/* Everything that the options point to while the server runs. */
typedef struct serve_texts {
    buf certificate, key;
} serve_texts;

static hone_status read_texts(serve_texts *t, const serve_settings *s) {
    buf_init(&t->certificate, MAX_FILE_BYTES);
    buf_init(&t->key, MAX_FILE_BYTES);
    if (!s->certificate != !s->key)
        return fail(HONE_ERR_ARGUMENT, "--tls-cert and --tls-key belong together");
    if (!s->certificate) return HONE_OK;
    TRY(fs_read_file(&t->certificate, s->certificate));
    return fs_read_file(&t->key, s->key);
}

static void release_texts(serve_texts *t) {
    buf_release(&t->certificate);
    buf_release(&t->key);
}

/* --- running --- */

static void print_log(void *user, const char *line) {
    (void)user;
    fprintf(stderr, "%s\n", line);
}

static int preload(server *s, char **names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        cli_progress("loading %s", names[i]);
        hone_status status = models_preload(server_models(s), names[i]);
        if (status != HONE_OK) return engine_fail_model(status, names[i]);
    }
    cli_progress_clear();
    return CLI_OK;
}

static size_t slots_of(const serve_settings *s) {
    return s->slots == CLI_UNSET ? DEFAULT_SLOTS : (size_t)s->slots;
}

static void print_welcome(const server *s, const serve_settings *settings, char **names,
                          size_t n) {
    const char *host = settings->address.host;
    bool six = strchr(host, ':') != NULL;
    cli_text memory, cache;
    fprintf(stderr, "listening on http%s://%s%s%s:%u/v1\n", settings->certificate ? "s" : "",
            six ? "[" : "", host, six ? "]" : "", server_port(s));
    fprintf(stderr, "models: %s", n ? names[0] : "those of the store, loaded when asked for");
    for (size_t i = 1; i < n; i++) fprintf(stderr, ", %s", names[i]);
    fprintf(stderr, "\nmemory: %s for models and caches, of which %s a model for its conversations",
            cli_format_bytes(&memory, settings->memory_bytes),
            cli_format_bytes(&cache, settings->cache_bytes));
    if (geteuid() == 0)
        fputs("\nrunning as root: a flaw would reach the whole machine; docs/serving.md has a "
              "better way", stderr);
    size_t n_keys = guard_keys(server_guard(s));
    fprintf(stderr, "\nkeys: %s", n_keys ? "needed, of which there are " : "none needed");
    if (n_keys) fprintf(stderr, "%zu", n_keys);
    fprintf(stderr, "; answers at once: %lld a model; Ctrl-C ends it\n",
            (long long)slots_of(settings));
}

static void wait_for_signal(void) {
    while (!interrupt_seen()) nanosleep(&(struct timespec){0, 50000000}, NULL);
}

/* Until nothing runs any more, or for so long, or until a second signal comes. */
static void drain(server *s) {
    double end = clock_ms() + DRAIN_MS;
    fputs("hone: answers under way may end; no new ones; another signal ends them, too\n", stderr);
    while (!server_drain(s, 50) && interrupt_count() < 2 && clock_ms() < end) continue;
}

static server_options make_options(const serve_settings *s, const serve_texts *t) {
    const char *single = getenv("HONE_API_KEY");
    void (*log)(void *user, const char *line) = s->quiet ? NULL : print_log;
    return (server_options){
        .host = s->address.host, .port = (uint16_t)s->address.port, .log_text = s->log == 1,
        .open_to_all = s->open_to_all, .adapt = s->adapt, .run_code = s->run_code,
        .certificate = t->certificate.data, .key = t->key.data, .log = log,
        .max_connections = (size_t)s->connections, .max_body = s->body_bytes,
        .patience_ms = (int)s->patience * 1000,
        .guard = {.keys = {.path = s->key_file, .single = single && *single ? single : NULL,
                           .log = print_log},
                  .origins = s->origins.items, .n_origins = s->origins.n,
                  .hosts = s->hosts.items, .n_hosts = s->hosts.n,
                  .allowance = {(unsigned)s->requests, (unsigned)s->tokens}},
        .models = {.memory_bytes = s->memory_bytes, .keep_ms = s->keep_ms,
                   .max_open = (size_t)s->max_models, .wait_ms = (int)s->load_wait * 1000,
                   .scheduler = {.n_slots = slots_of(s), .max_queue = (size_t)s->queue,
                                 .stall_ms = STALL_MS, .wait_ms = (int)s->wait_limit * 1000,
                                 .time_ms = (int)s->time_limit * 1000,
                                 .cache_bytes = s->cache_bytes,
                                 .session = {.kv = s->kv < 0 ? HONE_KV_F16 : (hone_kv_type)s->kv,
                                             .exact = s->exact}}},
    };
}

static int run(const serve_settings *settings, const serve_texts *t, char **names, size_t n) {
    server_options options = make_options(settings, t);
    if (settings->context != CLI_UNSET)
        options.models.scheduler.session.n_context = (size_t)settings->context;
    profile_option_free is_free = {settings->threads == CLI_UNSET, settings->slots == CLI_UNSET,
                                   settings->context == CLI_UNSET, settings->kv < 0};
    if (!settings->no_profile) {
        options.models.adapt = profile_option_serve;
        options.models.adapt_user = &is_free;
    }
    int code = engine_choose_threads(settings->threads, &options.models.n_threads);
    if (code != CLI_OK) return code;
    server *s;
    hone_status status = server_open(&s, &options);
    if (status != HONE_OK) return cli_fail(status);
    code = preload(s, names, n);
    if (code == CLI_OK) {
        interrupt_hold(); /* before anybody is told that there is something to be ended */
        print_welcome(s, settings, names, n);
        wait_for_signal();
        drain(s);
    }
    server_close(s);
    return code;
}

/* --- settings --- */

/* What Ollama's variables mean here, too. */
static const settings_alias ollama_variables[] = {
    {"OLLAMA_HOST", "host", false}, {"OLLAMA_KEEP_ALIVE", "keep-alive", false},
    {"OLLAMA_NUM_PARALLEL", "slots", true}, {"OLLAMA_MAX_LOADED_MODELS", "max-models", true},
    {"OLLAMA_MAX_QUEUE", "queue", true}, {"OLLAMA_ORIGINS", "allow-origin", false},
    {"OLLAMA_CONTEXT_LENGTH", "context", true}, {"OLLAMA_KV_CACHE_TYPE", "kv", false},
};

/* The file of --config, $HONE_CONFIG, or the usual one where it exists. */
static int read_settings(settings_texts *s, const cli_option *options, char **argv) {
    fs_path path;
    const char *file = settings_peek(argv, "config"), *variable = getenv("HONE_CONFIG");
    if (!file && variable && *variable) file = variable;
    if (!file && paths_folder(&path, PATHS_CONFIG) == HONE_OK) {
        size_t n = strlen(path.text);
        snprintf(path.text + n, sizeof path.text - n, "/serve.conf");
        if (access(path.text, F_OK) == 0) file = path.text;
    }
    return settings_apply(s, options, ollama_variables,
                          sizeof ollama_variables / sizeof *ollama_variables, file);
}

/* What the command line has added to a list of n takes the place of these. */
static void prefer_later(cli_texts *list, size_t n) {
    if (list->n == n) return;
    memmove(list->items, list->items + n, (list->n - n) * sizeof *list->items);
    list->n -= n;
}

static int check(serve_settings *s, const cli_usage *usage) {
    if ((s->memory && !cli_parse_bytes(s->memory, &s->memory_bytes)) ||
        (s->cache && !cli_parse_bytes(s->cache, &s->cache_bytes)) ||
        (s->body && !cli_parse_bytes(s->body, &s->body_bytes)))
        return cli_wrong_use(usage,
                             "--memory, --cache and --max-body take sizes such as 900M or 16G");
    if (ollama_parse_duration(s->keep_alive, "--keep-alive", &s->keep_ms) != HONE_OK)
        return cli_wrong_use(usage, "%s", hone_error_message());
    if (!server_address_parse(&s->address, s->host)) return CLI_USAGE;
    if (!engine_cache_fits(s->exact, s->kv)) return CLI_USAGE;
    if (s->exact) s->kv = HONE_KV_F32;
    if (s->port != CLI_UNSET) s->address.port = (int)s->port;
    if (s->address.port < 0) s->address.port = SERVER_DEFAULT_PORT;
    return CLI_PARSED;
}

int cmd_serve(int argc, char **argv) {
    serve_settings s = {.host = "127.0.0.1", .port = CLI_UNSET, .keep_alive = "5m", .load_wait = 30,
                        .slots = CLI_UNSET, .queue = 512, .context = CLI_UNSET,
                        .threads = CLI_UNSET, .connections = 512, .patience = 60,
                        .wait_limit = 300, .time_limit = 3600,
                        .memory_bytes = system_look_at_memory("").limit, .cache_bytes = 512 << 20,
                        .body_bytes = 256 << 20, .kv = -1};
    const cli_option options[] = {
        CLI_TEXT("host", 0, &s.host, "ADDRESS",
                 "where to listen, also with a port, as [::1]:8080 (default: 127.0.0.1)"),
        CLI_INTEGER("port", 'p', &s.port, "N", 0, 65535, "default 11435; 0 = any that is free"),
        CLI_TEXT("config", 0, &s.config, "FILE",
                 "settings, as lines \"slots = 4\" (default: serve.conf in hone's folder for "
                 "settings, where there is one)"),
        CLI_CHOICE("log", 0, &s.log, "json|text",
                   "form of the line for each request (default json)"),
        CLI_FLAG("quiet", 'q', &s.quiet, "no line for each request"),
        CLI_HEADING("Models"),
        CLI_TEXT("memory", 'm', &s.memory, "SIZE",
                 "what models and caches may take together, as 16G (default: all)"),
        CLI_TEXT("keep-alive", 0, &s.keep_alive, "TIME",
                 "how long a model stays that nobody asks for: 5m, 1h30m, 0, or -1 for always "
                 "(default 5m)"),
        CLI_INTEGER("max-models", 0, &s.max_models, "N", 0, 32,
                    "models loaded at once (default: as many as fit, at most 32)"),
        CLI_INTEGER("load-wait", 0, &s.load_wait, "SECONDS", 0, 3600,
                    "most that a request waits for the memory of a model in use (default 30)"),
        CLI_HEADING("Answers"),
        CLI_INTEGER("slots", 0, &s.slots, "N", 1, SCHEDULER_MAX_SLOTS,
                    "answers at once for each model (default 8)"),
        CLI_INTEGER("queue", 0, &s.queue, "N", 0, 100000, "requests that may wait (default 512)"),
        CLI_INTEGER("context", 'c', &s.context, "N", 1, 1 << 30,
                    "most tokens of prompt and answer (default: the model's maximum)"),
        CLI_TEXT("cache", 0, &s.cache, "SIZE",
                 "what finished answers may keep beside running ones, for each model (default 512M)"),
        CLI_FLAG("adapt", 0, &s.adapt,
                 "drop caches and lower the slots while memory is short, before the system acts"),
        CLI_CHOICE("kv", 0, &s.kv, ENGINE_KV_CHOICES,
                   "type of the key/value cache (default f16; f32 with --exact)"),
        CLI_FLAG("exact", 0, &s.exact,
                 "float activations and an f32 cache: slower; the same request with a seed has the "
                 "same answer, whatever runs beside it and whatever the cache holds"),
        CLI_INTEGER("threads", 't', &s.threads, "N", 1, 1024,
                    "compute threads (default: $HONE_THREADS, or one for each usable core)"),
        PROFILE_OPTION(&s.no_profile),
        CLI_HEADING("Safety"),
        CLI_TEXT("api-key-file", 0, &s.key_file, "FILE",
                 "keys that may ask, one a line (also $HONE_API_KEY); read again when it changes"),
        CLI_FLAG("open-to-all", 0, &s.open_to_all,
                 "listen beyond this machine without any key"),
        CLI_FLAG("run-code", 0, &s.run_code,
                 "run code that models write, in a sandbox, for strategies that ask for it (code-bon, "
                 "rto); not without one"),
        CLI_TEXT("tls-cert", 0, &s.certificate, "FILE", "certificate (PEM) for https"),
        CLI_TEXT("tls-key", 0, &s.key, "FILE", "its key (PEM)"),
        CLI_TEXTS("allow-origin", 0, &s.origins, "ORIGIN",
                  "pages that may use this server, as https://chat.example (default: none)"),
        CLI_TEXTS("allow-host", 0, &s.hosts, "NAME",
                  "names for this server beside localhost, as behind a proxy"),
        CLI_HEADING("Limits"),
        CLI_INTEGER("rate", 0, &s.requests, "N", 0, 1000000000,
                    "requests a minute for each key, or address without keys (default: no limit)"),
        CLI_INTEGER("token-rate", 0, &s.tokens, "N", 0, 1000000000,
                    "tokens a minute likewise (default: no limit)"),
        CLI_INTEGER("wait-limit", 0, &s.wait_limit, "SECONDS", 1, 86400,
                    "most that a request waits for its turn (default 300)"),
        CLI_INTEGER("time-limit", 0, &s.time_limit, "SECONDS", 1, 86400,
                    "most that an answer takes, waiting included (default 3600)"),
        CLI_TEXT("max-body", 0, &s.body, "SIZE", "largest request (default 256M)"),
        CLI_INTEGER("max-connections", 0, &s.connections, "N", 1, 65536, "default 512"),
        CLI_INTEGER("patience", 0, &s.patience, "SECONDS", 1, 86400,
                    "for clients that send or read slowly, or not at all (default 60)"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "serve",
        .operands = "[MODEL…]",
        .about = "Answers over HTTP as OpenAI's and Ollama's APIs do, many at once. The models named "
                 "are loaded at once and stay; others of the store are loaded when a request names "
                 "them. Ctrl-C or SIGTERM lets running answers end. Every option can also be given "
                 "as a line of the settings file or as a variable ($HONE_KEEP_ALIVE for "
                 "--keep-alive); the command line comes first, then the environment (with Ollama's "
                 "names, too), then the file.",
        .examples = "hone serve smollm2:135m\n"
                    "hone serve --host 0.0.0.0 --api-key-file keys.txt --tls-cert c.pem --tls-key k.pem",
        .options = options,
        .max_operands = 32,
    };
    cli_operands operands;
    settings_texts other;
    int code = read_settings(&other, options, argv);
    size_t n_origins = s.origins.n, n_hosts = s.hosts.n;
    if (code == CLI_PARSED) code = cli_parse(&usage, argc, argv, &operands);
    prefer_later(&s.origins, n_origins);
    prefer_later(&s.hosts, n_hosts);
    if (code == CLI_PARSED) code = check(&s, &usage);
    if (code == CLI_PARSED) {
        serve_texts t;
        hone_status status = read_texts(&t, &s);
        code = status == HONE_OK ? run(&s, &t, operands.items, operands.n) : cli_fail(status);
        release_texts(&t);
    }
    settings_release(&other);
    return code;
}
