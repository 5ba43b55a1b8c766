/* What `hone tune` found for a model (lab/profile.h), taken where neither a flag nor the environment
 * says otherwise. */
#ifndef CLI_PROFILE_OPTION_H
#define CLI_PROFILE_OPTION_H

#include "cli/answer.h"
#include "serve/models.h"

#define PROFILE_OPTION(flag)                                                                   \
    CLI_FLAG("no-profile", 0, flag, "leave aside what `hone tune` found best for the model")

/* For one answer. A profile that is taken is told on stderr where a person watches, one that is stale in
 * any case. */
void profile_option_run(engine_settings *to, answer_settings *sampling, const char *model);

/* For a model that the server opens (models_options.adapt); `user` is a profile_option_free. */
typedef struct profile_option_free {
    bool threads, slots, context, kv; /* nothing else has set it */
} profile_option_free;
void profile_option_serve(void *user, const char *name, const char *path, model_opening *opening);

#endif
