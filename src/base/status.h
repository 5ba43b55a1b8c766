/* Raising and passing on errors inside hone.
 *
 *     if (n > limit) return fail(HONE_ERR_FORMAT, "%s: %zu tensors, at most %zu", path, n, limit);
 *     TRY(gguf_parse(&file, data, size));
 *
 * `fail` stores the sentence for `hone_error_message` and returns the status. A sentence names the
 * file or thing first, says what was expected and what was found, and ends without a full stop. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "hone/status.h"

hone_status fail(hone_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Prepends "context: " to the stored sentence and returns `status` unchanged. */
hone_status fail_context(hone_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Passes a failure upward at once. Use `goto` to a cleanup label where something must be freed. */
#define TRY(call)                                   \
    do {                                            \
        hone_status try_status_ = (call);           \
        if (try_status_ != HONE_OK) return try_status_; \
    } while (0)

#endif
