/* Speculation: the tokens that a request's draft foresees behind those that its session holds. */
#ifndef INFER_DRAFT_H
#define INFER_DRAFT_H

#include "infer/engine.h"

/* Whether the request's way of drafting can work with this session. */
hone_status draft_check(const hone_request *r, const hone_session *session);

/* Puts up to `most` tokens behind feed[0], the one that follows the session's; *n of them. */
hone_status draft_propose(const hone_request *r, const hone_session *session, int32_t *feed,
                          size_t most, size_t *n);

#endif
