/* Inference-time strategies: small programs that draw several answers to one request, look at them
 * and return one, with a trace of everything that was done (docs/strategies.md).
 *
 *     hone_strategy *s;
 *     hone_strategy_parse(&s, "re2 & sc8");
 *     hone_strategy_run(s, session, &request, NULL, &result);
 *
 * An expression names a program, with its number of draws as a suffix (`sc8`, `bon3`), and may
 * combine:
 *
 *     expression = branches [ "with" model { "+" model } ]
 *     branches   = branch { "|" branch } "|" selector        (one branch alone needs no selector)
 *     branch     = { transform "&" } ( program | sampler [ "&" selector ] )
 *
 * A transform changes the prompt and always carries the question on, a sampler makes answers, a
 * selector picks one of them (a vote where none is named), a program does all of it in its own way. The models behind "with" are
 * asked beside the one that the request is for; some programs (`ensemble`, `verify`, `cascade`,
 * `chain`) need them, and selectors that ask a model ask the first of them. "@" sets the bar of a
 * program that has one: "cascade4@0.75 with qwen2.5:1.5b".
 *
 * The draws of a stage share one prefill and step together in one batch; one that is no longer
 * wanted ends within one step and its cache is free at once. An answer that is empty, cut off or
 * cannot be read never wins and never votes, unless there is no other. The same seed gives the
 * same draws; in the exact mode whatever runs beside them. */
#ifndef HONE_STRATEGY_H
#define HONE_STRATEGY_H

#include "hone/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- what there is --- */

typedef enum hone_strategy_kind {
    HONE_STRATEGY_PROGRAM = 0,
    HONE_STRATEGY_TRANSFORM = 1,
    HONE_STRATEGY_SAMPLER = 2,
    HONE_STRATEGY_SELECTOR = 3
} hone_strategy_kind;

typedef struct hone_strategy_info {
    const char *name;
    hone_strategy_kind kind;
    size_t n_draws; /* its number of draws (or examples) without a suffix; 0 = it takes none */
    const char *summary;   /* what it does */
    const char *reference; /* the paper that it follows, or "" */
    const char *advice;    /* what is known of it on small models; "" = useful */
    double bar; /* 0 … 1, without "@"; 0 = it takes none. What is below is not good enough */
} hone_strategy_info;

/* The i-th, in the order of the help; NULL behind the last one. */
HONE_API const hone_strategy_info *hone_strategy_describe(size_t i);

/* --- an expression --- */

typedef struct hone_strategy hone_strategy;

enum {
    HONE_MAX_DRAWS = 128, /* of one program */
    HONE_MAX_OTHERS = 7,  /* models behind "with" */
    HONE_MAX_EXAMPLES = 4096
};

/* HONE_ERR_ARGUMENT: an unknown name (the sentence gives the nearest one), a part in a place where
 * its kind does not belong, a number of draws out of range. Immutable: any thread may run it. */
HONE_API hone_status hone_strategy_parse(hone_strategy **strategy, const char *expression);
HONE_API void hone_strategy_close(hone_strategy *strategy); /* NULL is allowed */

/* The expression in its canonical form: "re2 & sc8", "cascade4@0.75 with qwen2.5:1.5b". */
HONE_API const char *hone_strategy_text(const hone_strategy *strategy);

/* The i-th model behind "with", as it was written; NULL behind the last one. Who runs the strategy
 * opens them. */
HONE_API const char *hone_strategy_model(const hone_strategy *strategy, size_t i);

/* --- running it --- */

/* How the part of an answer that counts is read from its text (docs/strategies.md). */
typedef enum hone_answer_form {
    HONE_ANSWER_AUTO = 0,   /* \boxed, "the answer is", a choice letter or number, last number */
    HONE_ANSWER_NUMBER = 1,
    HONE_ANSWER_CHOICE = 2, /* one letter A … Z */
    HONE_ANSWER_TEXT = 3,   /* the whole text, folded and without outer space */
    HONE_ANSWER_CODE = 4    /* the last fenced block, closed or not, else the whole text */
} hone_answer_form;

/* Judges an answer from outside: tests, a schema, a command. *score is 0 … 1, 1 = right; *fault
 * (may stay NULL; freed with hone_free) says what was wrong, for a repair. */
typedef hone_status (*hone_answer_check)(void *user, const char *text, double *score, char **fault);

/* Runs a program that a model wrote, guarded, to its end. `language` is the word behind its fence,
 * "" where there is none. Hands over what it printed, NUL-terminated, freed with hone_free. Another
 * status than HONE_OK: it failed, and the trace keeps the words; HONE_ERR_CANCELLED and
 * HONE_ERR_MEMORY end the run. */
typedef hone_status (*hone_code_run)(void *user, const char *language, const char *code,
                                     char **output);

typedef struct hone_draw hone_draw;

/* A question with its answer, shown to the model before it is asked. */
typedef struct hone_example {
    const char *question, *answer; /* UTF-8 */
} hone_example;

/* Zero-initialise and set what you need. */
typedef struct hone_strategy_options {
    /* The most that may be spent; 0 = no bound. When it is spent the best answer so far is
     * returned. */
    size_t max_draws, max_tokens;
    double max_seconds;
    hone_answer_form form;
    hone_answer_check check;         /* NULL = nothing outside can judge */
    hone_code_run run_code;          /* NULL = code cannot be run … */
    const char *no_code;             /* … because of this, for people; NULL = nothing to tell */
    hone_session *const *others; /* sessions of the models behind "with", in their order, or of */
    size_t n_others;                 /* any others for programs that ask several */
    const hone_example *examples;    /* for `shots` and `nearest`; at most HONE_MAX_EXAMPLES */
    size_t n_examples;
    void (*on_draw)(void *user, const hone_draw *draw, size_t n_ended); /* one has ended, the
                                      * n_ended-th to do so */
    void *user;                      /* of check, run_code and on_draw */
} hone_strategy_options;

typedef enum hone_draw_end {
    HONE_DRAW_STOP = 0,   /* it ended by itself */
    HONE_DRAW_LENGTH = 1, /* cut by the token limit or the context */
    HONE_DRAW_KILLED = 2, /* no longer wanted */
    HONE_DRAW_FAILED = 3
} hone_draw_end;

HONE_API const char *hone_draw_end_name(hone_draw_end end); /* "stop", "length", … */

/* One generation. */
struct hone_draw {
    const char *stage;   /* what it was for: "answer", "rating", "critique" … */
    size_t branch;       /* of the expression, from 0 */
    size_t model;        /* 0 = the session's own, i = others[i − 1] */
    uint64_t seed;       /* with `sequence` the source of its randomness */
    uint32_t sequence;
    float temperature;
    size_t n_prompt_tokens, n_cached_tokens, n_tokens;
    size_t n_thought_tokens; /* of n_tokens: thoughts, also those that the prompt has opened */
    hone_draw_end end;
    char *text;
    char *answer;        /* the part that counts, in canonical form; NULL = none was found */
    char *fault;         /* why it failed, or its code did, where that is known; else NULL */
    double logprob;      /* mean over its tokens, natural logarithm */
    double certainty;    /* mean KL divergence of the uniform distribution from its tokens' own */
    double confidence;   /* least windowed mean of −mean ln p of the top tokens; 0 = not measured */
    double score;        /* what a selector or checker gave; NaN = nothing did */
    double ms;           /* from its start to its end, in a batch with others */
};

/* A line of the table of votes. */
typedef struct hone_vote {
    char *answer;
    size_t n;      /* draws that gave it */
    double weight; /* their weights; = n where all weigh the same */
} hone_vote;

typedef struct hone_strategy_result {
    char *text;               /* NUL-terminated */
    hone_finish finish;
    size_t chosen;            /* index of the draw whose text it is */
    const char *stop_reason;  /* "all draws done", "decided", "budget of tokens", … */
    hone_draw *draws;         /* in the order in which they were begun */
    size_t n_draws;
    hone_vote *votes;         /* most weight first; empty where nobody voted */
    size_t n_votes;
    /* Really computed, draws of every stage. */
    size_t n_prefill_tokens, n_decode_tokens;
    double seconds;
} hone_strategy_result;

HONE_API void hone_strategy_result_release(hone_strategy_result *result);

/* Runs a strategy. Of the request: messages or prompt (no token ids), sampling (each strategy says
 * what it changes), max_tokens (of each draw; 0 = 1024), stop, grammar. on_piece receives the text
 * of the answer while it is made where only one draw can be it, else all of it at the end; another
 * return value than 0 cancels.
 * The session ends with the prompt's common beginning. hone_session_cancel on it ends all draws, of
 * every model, within one step; the result is then what was best so far, finish "cancelled".
 * Where several models are asked, one that fails is left out (its draws say why); the run fails
 * when nobody is left. Errors: those of hone_generate; HONE_ERR_UNSUPPORTED for a program that
 * needs a checker, a way to run code, examples or another model and has none; HONE_ERR_ARGUMENT for
 * fewer sessions than there are models behind "with". */
HONE_API hone_status hone_strategy_run(const hone_strategy *strategy, hone_session *session,
                                       const hone_request *request,
                                       const hone_strategy_options *options,
                                       hone_strategy_result *result);

/* The trace as a JSON object (docs/strategies.md has its fields), freed with hone_free. */
HONE_API hone_status hone_strategy_trace(const hone_strategy_result *result, char **json);

#ifdef __cplusplus
}
#endif
#endif
