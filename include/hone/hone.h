/* hone: text and speech models on your own machine. This header brings in all of them:
 *
 *   status.h   status codes and error words
 *   model.h    an immutable model: what it is, its tokenizer
 *   grammar.h  what an answer may look like
 *   session.h  a mutable timeline: prefill, step in batches, fork, rewind, score
 *   adapter.h  LoRA adapters, chosen for each session
 *   memory.h   how much memory a model will need
 *   request.h  messages in, streamed answer out
 *   answer.h   many answers advanced together
 *   strategy.h several draws, one answer
 *   limits.h   what the machine can do at most
 *   audio.h, transcribe.h, transcript_format.h, live.h   speech in, text out
 *
 * The shortest use is in docs/example.c. */
#ifndef HONE_HONE_H
#define HONE_HONE_H

#include "hone/adapter.h"
#include "hone/answer.h"
#include "hone/audio.h"
#include "hone/grammar.h"
#include "hone/live.h"
#include "hone/limits.h"
#include "hone/memory.h"
#include "hone/model.h"
#include "hone/request.h"
#include "hone/session.h"
#include "hone/status.h"
#include "hone/strategy.h"
#include "hone/transcribe.h"
#include "hone/transcript_format.h"

#endif
