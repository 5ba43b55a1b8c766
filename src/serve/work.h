/* Long work that reports as it goes: lines of JSON from a thread of its own, or inline where only
 * the end is asked for. It ends when the client hangs up or the server goes down. */
#ifndef SERVE_WORK_H
#define SERVE_WORK_H

#include "base/json.h"
#include "serve/route.h"

typedef struct work work;

typedef struct work_task {
    hone_status (*run)(work *w, void *state);
    void (*close)(void *state); /* once, also where the work never began */
    void *state;
} work_task;

/* Answers the exchange: {"status": "success"} when `run` is HONE_OK, before it what it tells, or
 * the last failure's words. */
void work_reply(const call *c, bool stream, const work_task *task);

/* From `run`: one line more, taken over. One that follows faster than ten a second, in place of
 * which a newer one comes soon, can be left out: `passing`. False: end with HONE_ERR_CANCELLED. */
bool work_tell(work *w, json_t *line, bool passing);
bool work_goes_on(work *w);

#endif
