#include "infer/transcribe_int.h"

hone_status transcribe_batched(transcription *t) { return transcribe_windows(t); }
