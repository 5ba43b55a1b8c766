/* Functions that templates find without anyone giving them. */
#include <string.h>
#include <time.h>

#include "text/jinja_int.h"

static hone_status global_range(interp *in, const call_args *args, value *out) {
    value a[3];
    int64_t begin = 0, end, step = 1;
    TRY(ARGS_BIND(args, "range", 1, a, "start", "stop", "step"));
    TRY(expect_integer(a[0], "range", &end));
    if (args->n > 1) {
        begin = end;
        TRY(expect_integer(a[1], "range", &end));
    }
    if (args->n > 2) TRY(expect_integer(a[2], "range", &step));
    if (step == 0) return misuse("range: step is zero");
    uint64_t distance = step > 0 ? (uint64_t)end - (uint64_t)begin : (uint64_t)begin - (uint64_t)end;
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    bool empty = step > 0 ? begin >= end : begin <= end;
    uint64_t n = empty ? 0 : (distance - 1) / stride + 1;
    if (n > JINJA_MAX_RANGE)
        return fail(HONE_ERR_MEMORY, "range of %llu items, at most %d", (unsigned long long)n,
                    JINJA_MAX_RANGE);
    TRY(list_new(in, V_LIST, n, out));
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)begin + i * (uint64_t)step;
        TRY(list_add(in, out->list, INT_VALUE((int64_t)at)));
    }
    return HONE_OK;
}

/* dict(other, name=value, …), and namespace(…) with the same arguments */
static hone_status fill_dict(interp *in, const call_args *args, const char *what, value *out) {
    if (args->n > 1) return misuse("%s takes at most 1 positional argument", what);
    TRY(dict_new(in, out));
    if (args->n && args->positional[0].type != V_DICT)
        return misuse("%s: expected a dict, found %s", what, type_name(args->positional[0]));
    const dict *from = args->n ? args->positional[0].dict : NULL;
    for (size_t i = 0; from && i < from->n; i++)
        TRY(dict_put(in, out->dict, from->entries[i].key, from->entries[i].item));
    for (size_t i = 0; i < args->n_named; i++)
        TRY(dict_put_name(in, out->dict, args->named[i].name, args->named[i].value));
    return HONE_OK;
}

static hone_status global_dict(interp *in, const call_args *args, value *out) {
    return fill_dict(in, args, "dict", out);
}

static hone_status global_namespace(interp *in, const call_args *args, value *out) {
    TRY(fill_dict(in, args, "namespace", out));
    out->type = V_NAMESPACE;
    return HONE_OK;
}

static hone_status global_raise_exception(interp *in, const call_args *args, value *out) {
    value message;
    const text *t;
    (void)out;
    TRY(ARGS_BIND(args, "raise_exception", 1, &message, "message"));
    TRY(to_text(in, message, &t));
    return misuse("%.*s", t->n < 800 ? (int)t->n : 800, t->bytes);
}

static hone_status global_strftime_now(interp *in, const call_args *args, value *out) {
    value v;
    const text *t;
    char format[128] = {0}, made[512];
    TRY(ARGS_BIND(args, "strftime_now", 1, &v, "format"));
    TRY(expect_text(v, "strftime_now", &t));
    if (t->n >= sizeof format - 1) return misuse("strftime_now: format of %zu bytes", t->n);
    memcpy(format, t->bytes, t->n);
    format[t->n] = ' '; /* so that 0 means "too long" and never "empty" */
    size_t n = strftime(made, sizeof made, format, in->now);
    if (n == 0) return misuse("strftime_now: the date is too long");
    return text_copy(in, made, n - 1, t->origin == FROM_TEMPLATE ? FROM_TEMPLATE : FROM_USER, out);
}

static const builtin globals[] = {
    {"dict", global_dict},
    {"namespace", global_namespace},
    {"raise_exception", global_raise_exception},
    {"range", global_range},
    {"strftime_now", global_strftime_now},
    {NULL, NULL},
};

const builtin *global_find(const char *name) { return builtin_find(globals, name); }
