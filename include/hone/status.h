/* Status codes and error words shared by every hone call.
 *
 * A call that can fail returns `hone_status`: 0 is success, everything else is negative. Results
 * leave through pointers, which stay untouched on failure. After a failure `hone_error_message()`
 * holds one sentence for humans (file, tensor, expected, found) until the next failure on the same
 * thread. */
#ifndef HONE_STATUS_H
#define HONE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_API __attribute__((visibility("default")))

typedef enum hone_status {
    HONE_OK = 0,
    HONE_ERR_ARGUMENT = -1,     /* the caller broke a rule written in the header */
    HONE_ERR_MEMORY = -2,       /* allocation failed, or the work would not fit */
    HONE_ERR_IO = -3,           /* the system refused to read, write, map or connect */
    HONE_ERR_FORMAT = -4,       /* a file or request is malformed */
    HONE_ERR_UNSUPPORTED = -5,  /* well-formed, but not something hone can do; named in the words */
    HONE_ERR_NOT_FOUND = -6,    /* no such file, model, tensor or key */
    HONE_ERR_CONTEXT_FULL = -7, /* the tokens do not fit into the session's context */
    HONE_ERR_CANCELLED = -8,    /* somebody asked to stop */
    HONE_ERR_NUMERIC = -9,      /* NaN, or nothing left to choose from */
    HONE_ERR_BUSY = -10         /* too much to do just now; later it may work */
} hone_status;

/* The constant's name without prefix, for example "format". Never NULL. */
HONE_API const char *hone_status_name(hone_status status);

/* The last failure's words on the calling thread; "" before the first failure. Never NULL. Valid
 * until the next failing call on this thread. */
HONE_API const char *hone_error_message(void);

#ifdef __cplusplus
}
#endif
#endif
