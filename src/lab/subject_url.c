/* A model behind a server. */
#include "lab/subject_int.h"

hone_status subject_url_open(subject **out, const subject_settings *settings) {
    (void)out;
    return fail(HONE_ERR_UNSUPPORTED, "%s: servers are not asked yet", settings->url);
}
