/* Methods of lists, tuples, dicts and loops; those of strings are in jinja_methods_text.c.
 * positional[0] is the object. */
#include <string.h>

#include "text/jinja_int.h"

static bool given(value v) { return v.type != V_MISSING; }

/* ---- lists and tuples ---- */

static hone_status list_append(interp *in, const call_args *args, value *out) {
    value a[2];
    TRY(ARGS_BIND(args, "append", 2, a, "self", "object"));
    *out = NONE_VALUE;
    return list_add(in, a[0].list, a[1]);
}

static hone_status list_extend(interp *in, const call_args *args, value *out) {
    value a[2];
    list *items;
    TRY(ARGS_BIND(args, "extend", 2, a, "self", "iterable"));
    TRY(iterate(in, a[1], &items));
    for (size_t i = 0; i < items->n; i++) TRY(list_add(in, a[0].list, items->items[i]));
    *out = NONE_VALUE;
    return HONE_OK;
}

static hone_status list_insert(interp *in, const call_args *args, value *out) {
    value a[3];
    int64_t at;
    TRY(ARGS_BIND(args, "insert", 3, a, "self", "index", "object"));
    TRY(expect_integer(a[1], "insert", &at));
    list *l = a[0].list;
    int64_t n = (int64_t)l->n;
    if (at < 0) at = at < -n ? 0 : at + n;
    if (at > n) at = n;
    TRY(spend(in, l->n / 8));
    TRY(list_add(in, l, a[2]));
    memmove(l->items + at + 1, l->items + at, (size_t)(n - at) * sizeof *l->items);
    l->items[at] = a[2];
    *out = NONE_VALUE;
    return HONE_OK;
}

static hone_status list_pop(interp *in, const call_args *args, value *out) {
    value a[2];
    int64_t at = -1;
    TRY(ARGS_BIND(args, "pop", 1, a, "self", "index"));
    if (given(a[1])) TRY(expect_integer(a[1], "pop", &at));
    list *l = a[0].list;
    if (at < 0) at += (int64_t)l->n;
    if (at < 0 || at >= (int64_t)l->n) return misuse("pop from a list of %zu items", l->n);
    TRY(spend(in, l->n / 8));
    *out = l->items[at];
    l->n--;
    memmove(l->items + at, l->items + at + 1, (l->n - (size_t)at) * sizeof *l->items);
    return HONE_OK;
}

/* Position of the item, or n. */
static hone_status list_position(interp *in, const list *l, value item, size_t *out) {
    bool equal = false;
    for (*out = 0; *out < l->n; ++*out) {
        TRY(values_equal(in, l->items[*out], item, &equal));
        if (equal) break;
    }
    return HONE_OK;
}

static hone_status list_index(interp *in, const call_args *args, value *out) {
    value a[2];
    size_t at;
    TRY(ARGS_BIND(args, "index", 2, a, "self", "value"));
    TRY(list_position(in, a[0].list, a[1], &at));
    *out = INT_VALUE((int64_t)at);
    return at < a[0].list->n ? HONE_OK : misuse("index: not in the list");
}

static hone_status list_count(interp *in, const call_args *args, value *out) {
    value a[2];
    int64_t n = 0;
    TRY(ARGS_BIND(args, "count", 2, a, "self", "value"));
    for (size_t i = 0; i < a[0].list->n; i++) {
        bool equal;
        TRY(values_equal(in, a[0].list->items[i], a[1], &equal));
        n += equal;
    }
    *out = INT_VALUE(n);
    return HONE_OK;
}

static hone_status list_remove(interp *in, const call_args *args, value *out) {
    value a[2];
    size_t at;
    TRY(ARGS_BIND(args, "remove", 2, a, "self", "value"));
    TRY(list_position(in, a[0].list, a[1], &at));
    if (at == a[0].list->n) return misuse("remove: not in the list");
    value call[2] = {a[0], INT_VALUE((int64_t)at)};
    TRY(list_pop(in, &(call_args){.positional = call, .n = 2}, out));
    *out = NONE_VALUE;
    return HONE_OK;
}

static hone_status list_reverse(interp *in, const call_args *args, value *out) {
    value v;
    TRY(ARGS_BIND(args, "reverse", 1, &v, "self"));
    TRY(spend(in, v.list->n));
    for (size_t i = 0, j = v.list->n; i + 1 < j; i++) {
        value swapped = v.list->items[--j];
        v.list->items[j] = v.list->items[i];
        v.list->items[i] = swapped;
    }
    *out = NONE_VALUE;
    return HONE_OK;
}

static hone_status list_copy(interp *in, const call_args *args, value *out) {
    list *items;
    TRY(iterate(in, args->positional[0], &items));
    *out = (value){.type = V_LIST, .list = items};
    return HONE_OK;
}

static const builtin list_methods[] = {
    {"append", list_append},   {"clear", NULL},         {"copy", list_copy},
    {"count", list_count},     {"extend", list_extend}, {"index", list_index},
    {"insert", list_insert},   {"pop", list_pop},       {"remove", list_remove},
    {"reverse", list_reverse}, {"sort", NULL},          {NULL, NULL},
};

static const builtin tuple_methods[] = {
    {"count", list_count}, {"index", list_index}, {NULL, NULL},
};

/* ---- dicts ---- */

static hone_status dict_get(interp *in, const call_args *args, value *out) {
    value a[3];
    dict_entry *entry;
    TRY(ARGS_BIND(args, "get", 2, a, "self", "key", "default"));
    TRY(dict_find(in, a[0].dict, a[1], &entry));
    *out = entry ? entry->item : given(a[2]) ? a[2] : NONE_VALUE;
    return HONE_OK;
}

static hone_status dict_keys(interp *in, const call_args *args, value *out) {
    return list_copy(in, args, out);
}

static hone_status dict_values(interp *in, const call_args *args, value *out) {
    const dict *d = args->positional[0].dict;
    TRY(list_new(in, V_LIST, d->n, out));
    for (size_t i = 0; i < d->n; i++) TRY(list_add(in, out->list, d->entries[i].item));
    return HONE_OK;
}

static hone_status dict_items(interp *in, const call_args *args, value *out) {
    return filter_find("items")->call(in, args, out);
}

static hone_status dict_update(interp *in, const call_args *args, value *out) {
    if (args->n > 2) return misuse("update takes at most 1 positional argument");
    value self = args->positional[0], other = args->n > 1 ? args->positional[1] : self;
    if (other.type != V_DICT) return misuse("update: expected a dict, found %s", type_name(other));
    for (size_t i = 0; i < other.dict->n; i++)
        TRY(dict_put(in, self.dict, other.dict->entries[i].key, other.dict->entries[i].item));
    for (size_t i = 0; i < args->n_named; i++)
        TRY(dict_put_name(in, self.dict, args->named[i].name, args->named[i].value));
    *out = NONE_VALUE;
    return HONE_OK;
}

static hone_status dict_copy(interp *in, const call_args *args, value *out) {
    value a[2] = {NONE_VALUE, args->positional[0]};
    TRY(dict_new(in, &a[0]));
    *out = a[0];
    value nothing;
    return dict_update(in, &(call_args){.positional = a, .n = 2}, &nothing);
}

static hone_status dict_setdefault(interp *in, const call_args *args, value *out) {
    value a[3];
    dict_entry *entry;
    TRY(ARGS_BIND(args, "setdefault", 2, a, "self", "key", "default"));
    TRY(dict_find(in, a[0].dict, a[1], &entry));
    *out = entry ? entry->item : given(a[2]) ? a[2] : NONE_VALUE;
    return entry ? HONE_OK : dict_put(in, a[0].dict, a[1], *out);
}

static hone_status dict_pop(interp *in, const call_args *args, value *out) {
    value a[3];
    dict_entry *entry;
    TRY(ARGS_BIND(args, "pop", 2, a, "self", "key", "default"));
    TRY(dict_find(in, a[0].dict, a[1], &entry));
    if (!entry && !given(a[2])) return misuse("pop: no such key");
    *out = entry ? entry->item : a[2];
    return entry ? dict_remove(in, a[0].dict, entry) : HONE_OK;
}

static const builtin dict_methods[] = {
    {"clear", NULL},          {"copy", dict_copy}, {"fromkeys", NULL},
    {"get", dict_get},        {"items", dict_items}, {"keys", dict_keys},
    {"pop", dict_pop},        {"popitem", NULL},   {"setdefault", dict_setdefault},
    {"update", dict_update},  {"values", dict_values}, {NULL, NULL},
};

/* ---- loop ---- */

static hone_status loop_cycle(interp *in, const call_args *args, value *out) {
    (void)in;
    if (args->n < 2) return misuse("loop.cycle needs values");
    *out = args->positional[1 + args->positional[0].loop->index % (args->n - 1)];
    return HONE_OK;
}

/* Whether the arguments differ from those of the last call. */
static hone_status loop_changed(interp *in, const call_args *args, value *out) {
    loop *l = args->positional[0].loop;
    value now;
    bool same;
    TRY(list_new(in, V_TUPLE, args->n, &now));
    for (size_t i = 1; i < args->n; i++) TRY(list_add(in, now.list, args->positional[i]));
    TRY(values_equal(in, l->last_changed, now, &same));
    l->last_changed = now;
    *out = BOOL_VALUE(!same);
    return HONE_OK;
}

static const builtin loop_methods[] = {
    {"changed", loop_changed}, {"cycle", loop_cycle}, {NULL, NULL},
};

const builtin *method_find(value_type type, const char *name) {
    switch (type) {
    case V_TEXT: return builtin_find(text_methods, name);
    case V_LIST: return builtin_find(list_methods, name);
    case V_TUPLE: return builtin_find(tuple_methods, name);
    case V_DICT: return builtin_find(dict_methods, name);
    case V_LOOP: return builtin_find(loop_methods, name);
    default: return NULL;
    }
}
