/* Which of the models on this machine should answer a prompt, how, and why.
 *
 *     route_choice c;
 *     hone_status status = route_choose(&c, &(route_request){.prompt = text, .n = n, .store = s});
 *     ... c.model, c.strategy, c.settings; c.reasons[0 … c.n_reasons) ...
 *     route_choice_release(&c);
 *
 * What is chosen comes from a rule written by hand, else from what was measured of the store's
 * models on tasks of the prompt's kind (rows that answered the same items), else from the sizes of
 * the files; the reasons say which of the three it was. A model that does not fit into the memory
 * is passed over. docs/route.md has the rules of choice. */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "route/files.h"
#include "route/kind.h"
#include "route/measured.h"
#include "route/rules.h"
#include "weights/store.h"

enum { ROUTE_MAX_REASONS = 32 };

/* A model that is loaded. */
typedef struct route_loaded {
    char name[MODEL_NAME_MAX], quantisation[16];
    bool takes_text, takes_audio;
    uint64_t bytes;
} route_loaded;

/* Zero-initialise and set what you need; borrowed. */
typedef struct route_request {
    const char *prompt; /* UTF-8, [n] */
    size_t n;
    route_priority priority; /* set it: 0 is speed */
    const store *store;
    const route_rules *rules; /* NULL = none */
    results *results;         /* NULL = nothing is known, */
    route_files *files;       /* but for what these know */
    uint64_t memory;          /* bytes for the process; 0 = what is free now */
    bool text_only;           /* a model of text is wanted, though speech is spoken of */
    /* A server's view: what is known of a model that is loaded, NULL where it is not. A loaded one
     * needs no further memory and answers at once, so that of models that are good enough it is the
     * faster. NULL = none is loaded. */
    const route_loaded *(*find_loaded)(void *user, const char *name);
    void *user;
    const char *const *without; /* [n_without] names that were tried and could not be had */
    size_t n_without;
    /* Instead of what the store and the results hold, for experiments; NULL = those. */
    const store_listing *candidates;
    const measured *measured;   /* of the prompt's kind; indices as in `candidates` */
} route_request;

typedef enum route_basis { ROUTE_BY_DEFAULT, ROUTE_BY_MEASUREMENT, ROUTE_BY_RULE } route_basis;

const char *route_basis_name(route_basis b); /* "default", "measured", "rule" */

typedef struct route_choice {
    kind_guess guess;
    route_basis basis;          /* of the model */
    bool fallback;              /* something that comes before it could not be had */
    char model[MODEL_NAME_MAX]; /* its name in the store */
    char quantisation[16];      /* "Q4_1" */
    uint64_t memory_bytes;      /* that it will need; 0 = unknown (speech) */
    char *strategy, *system;    /* NULL = none */
    route_settings settings;
    char *reasons[ROUTE_MAX_REASONS]; /* sentences without a full stop, in the order of thought */
    size_t n_reasons;
    measured measured;          /* the rows that were looked at; candidates as in `listing` */
    store_listing listing;
    bool owns_listing;
} route_choice;

/* Release the choice in any case. HONE_ERR_NOT_FOUND where the store has no model that could
 * answer and fits into the memory; the sentence says which it is. */
hone_status route_choose(route_choice *c, const route_request *request);
void route_choice_release(route_choice *c);

/* Appends a sentence to the reasons; nothing where they are full. */
hone_status route_reason(route_choice *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The object of `hone route --json` (docs/route.md). NULL when memory is short. */
json_t *route_choice_to_json(const route_choice *c, route_priority priority);

#endif
