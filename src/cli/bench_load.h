/* `hone bench --url`: a server under load (lab/load.h). */
#ifndef CLI_BENCH_LOAD_H
#define CLI_BENCH_LOAD_H

#include <stdbool.h>

#include "cli/options.h"
#include "lab/load.h"

/* Options of this form alone; see BENCH_LOAD_OPTIONS. */
typedef struct bench_load_choice {
    const char *url, *key_file;
    int api;                       /* index in BENCH_LOAD_APIS, −1 = found out */
    int64_t requests, concurrency; /* CLI_UNSET where absent */
    double rate, ttft_limit, tpot_limit, e2e_limit, timeout; /* NAN where absent */
} bench_load_choice;

#define BENCH_LOAD_UNSET {NULL, NULL, -1, CLI_UNSET, CLI_UNSET, NAN, NAN, NAN, NAN, NAN}
#define BENCH_LOAD_APIS "openai|ollama" /* in the order of endpoint_api */

/* Rows of an option table for bench_load_choice `c`. */
#define BENCH_LOAD_OPTIONS(c)                                                                      \
    CLI_TEXT("url", 0, &(c).url, "URL",                                                            \
             "measure this server: hone's own or any that speaks OpenAI's or Ollama's API"),       \
    CLI_CHOICE("api", 0, &(c).api, BENCH_LOAD_APIS, "the server's API (default: found out)"),      \
    CLI_TEXT("api-key-file", 0, &(c).key_file, "FILE", "the key (also $HONE_API_KEY)"),            \
    CLI_INTEGER("requests", 0, &(c).requests, "N", 1, LOAD_MAX_REQUESTS,                           \
                "how many in all (default 50)"),                                                   \
    CLI_INTEGER("concurrency", 0, &(c).concurrency, "N", 1, LOAD_MAX_CONCURRENCY,                  \
                "always so many under way (default 1); with --rate the most there may be"),        \
    CLI_REAL("rate", 0, &(c).rate, "N", 1e-3, 1e5,                                                 \
             "arrivals in a second, at random (Poisson); times count from the arrival"),           \
    CLI_REAL("ttft-limit", 0, &(c).ttft_limit, "MS", 0, 1e9,                                       \
             "goodput: the first token within this"),                                              \
    CLI_REAL("tpot-limit", 0, &(c).tpot_limit, "MS", 0, 1e9,                                       \
             "goodput: each further token within this, on average"),                               \
    CLI_REAL("answer-limit", 0, &(c).e2e_limit, "MS", 0, 1e9,                                      \
             "goodput: the whole answer within this"),                                             \
    CLI_REAL("timeout", 0, &(c).timeout, "S", 0.1, 86400,                                          \
             "a request that takes longer has failed (default 600)")

/* Fills the rest of `settings` (n_prompt, n_decode, seed are there) and measures. Returns an exit
 * code. */
int bench_load(const bench_load_choice *choice, load_settings *settings, bool json);

#endif
