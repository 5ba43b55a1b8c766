/* Answers under way: any number of requests advanced together, one token (or one piece of a prompt)
 * each in every pass over the weights.
 *
 *     hone_answer_open(&a[i], session[i], &request[i]);            // for each
 *     while (some are not finished) hone_answers_step(a, n, 0);
 *     hone_answer_conclude(a[i], &result);  hone_answer_close(a[i]);
 *
 * hone_generate is this for one request. In the exact mode an answer is the same whatever else is
 * stepped with it; otherwise up to rounding (hone/session.h). Answers of one model are used by one
 * thread at a time. */
#ifndef HONE_ANSWER_H
#define HONE_ANSWER_H

#include "hone/request.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_answer hone_answer;

/* Renders and tokenises the prompt and drops from the session what is no common prefix; computes
 * nothing. Request and session are borrowed until the answer is closed, and the session belongs to
 * it for that time. Errors: those of hone_generate before any work. */
HONE_API hone_status hone_answer_open(hone_answer **answer, hone_session *session,
                                      const hone_request *request);
HONE_API void hone_answer_close(hone_answer *answer); /* NULL is allowed */

/* One step of all that are not finished; they are of one model, their sessions distinct. Prompts
 * that are not in yet share n_prompt_tokens tokens of the step (0 = 512), the first ones first; the
 * others draw their next token. A failure of one answer (a mask, its memory) finishes that one
 * alone: hone_answer_error. Returns an error where the step as a whole failed; no answer has then
 * moved, and all may be stepped again. */
HONE_API hone_status hone_answers_step(hone_answer *const *answers, size_t n,
                                       size_t n_prompt_tokens);

/* From now on a step takes at most so many tokens of this answer's prompt; 0 = as many as there is
 * room for, as at first. */
HONE_API void hone_answer_set_share(hone_answer *answer, size_t n_tokens);

HONE_API bool hone_answer_finished(const hone_answer *answer);

/* Tokens of the prompt, and those of them that the session holds already. */
HONE_API size_t hone_answer_prompt(const hone_answer *answer, size_t *n_done);

/* HONE_OK, or why the answer failed; *message belongs to the answer. */
HONE_API hone_status hone_answer_error(const hone_answer *answer, const char **message);

/* Releases the text still held back, through on_piece too, and fills the result. An answer that is
 * not finished ends here as cancelled. HONE_ERR_… of an answer that failed. Once only. */
HONE_API hone_status hone_answer_conclude(hone_answer *answer, hone_result *result);

#ifdef __cplusplus
}
#endif
#endif
