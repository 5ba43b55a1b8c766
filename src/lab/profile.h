/* The settings that `hone tune` found best for a model, kept so that `hone run` and `hone serve`
 * take them by themselves: one small JSON file for each model, profiles/<model>.json in the data
 * folder (weights/paths.h). docs/tune.md has the format.
 *
 * A profile holds for one machine, one build of hone and one content of the model's files. Where
 * any of them is another now, it is stale: it is not used, and a sentence says why. */
#ifndef LAB_PROFILE_H
#define LAB_PROFILE_H

#include "base/fs.h"
#include "lab/tune.h"
#include "lab/validity.h"

/* What a setting holds that the profile says nothing about: −1, of floats NAN. */
typedef struct profile {
    int n_threads, prefill_chunk, n_context, n_slots, n_draft, kv; /* kv: a hone_kv_type */
    int map; /* 0: weights are copied */
    double temperature, top_p, top_k, min_p, repeat_penalty;
    bool is_doubted; /* the machine was not quiet while it was tuned */
} profile;

typedef enum profile_state {
    PROFILE_NONE,  /* this model was never tuned, or its profile cannot be read */
    PROFILE_STALE, /* hone_error_message() says what changed */
    PROFILE_FRESH
} profile_state;

/* The profile of a model as a person names it: a name in the store, a file or a folder. Looks at
 * the model's files only where there is a profile. */
profile_state profile_load(profile *out, const char *model);

/* Whether it says anything. */
bool profile_is_empty(const profile *p);

/* What differs between best and the program's defaults, for that goal, becomes part of the
 * model's profile: speeds replace what was said about the engine, quality what was said about
 * sampling, and `slots` comes from throughput alone; the other part stays if it is not stale.
 * `result` is the number under which the tuning is kept, 0 = none; `doubts` is what speaks against
 * its numbers: a profile that was made on a disturbed machine says so. *path says where the file
 * lies. Errors: those of files, HONE_ERR_MEMORY. */
hone_status profile_save(const char *model, tune_goal goal, const tune_config *defaults,
                         const tune_config *best, int64_t result, const validity *doubts,
                         fs_path *path);

#endif
