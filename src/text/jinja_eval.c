/* Expressions. */
#include <math.h>
#include <string.h>

#include "text/jinja_int.h"

hone_status spend(interp *in, size_t steps) {
    in->steps += steps;
    if (in->steps > JINJA_MAX_STEPS)
        return fail(HONE_ERR_MEMORY, "takes more than %d steps", JINJA_MAX_STEPS);
    return HONE_OK;
}

hone_status enter(interp *in) {
    if (++in->depth > JINJA_MAX_DEPTH)
        return fail(HONE_ERR_MEMORY, "nested deeper than %d levels", JINJA_MAX_DEPTH);
    return HONE_OK;
}

void leave(interp *in) { in->depth--; }

static hone_status undefined_error(value v) {
    return misuse("'%s' is undefined", v.name ? v.name : "?");
}

/* ---- names ---- */

static bool is_users(const char *name) {
    return strcmp(name, "messages") == 0 || strcmp(name, "tools") == 0 ||
           strcmp(name, "documents") == 0;
}

/* Variables of the render come in on their first use. Strings at the top (bos_token) are the
 * template's own; whatever is below messages, tools, documents or any other list or object is
 * users' text. */
static hone_status find_variable(interp *in, const char *name, value *out) {
    const json_t *json = json_object_get(in->variables, name);
    if (json) {
        origin from = json_is_string(json) && !is_users(name) ? FROM_TEMPLATE : FROM_USER;
        TRY(value_from_json(in, json, from, out));
        return scope_set(in, in->root->parent, name, *out);
    }
    const builtin *global = global_find(name);
    *out = global ? (value){.type = V_FUNCTION, .function = global} : UNDEFINED_VALUE(name);
    return HONE_OK;
}

static hone_status find_name(interp *in, const char *name, value *out) {
    for (const scope *s = in->scope; s; s = s->parent)
        for (size_t i = s->n; i-- > 0;)
            if (s->variables[i].name == name) {
                *out = s->variables[i].value;
                return HONE_OK;
            }
    return find_variable(in, name, out);
}

/* ---- arithmetic ---- */

static hone_status too_large(void) { return misuse("integer out of range (64 bits)"); }

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static hone_status power(int64_t base, int64_t exponent, value *out) {
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0) return misuse("division by zero");
        *out = FLOAT_VALUE(pow((double)base, (double)exponent));
        return HONE_OK;
    }
    if (base == 0 || base == 1 || base == -1) {
        *out = INT_VALUE(exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base);
        return HONE_OK;
    }
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(result, base, &result)) return too_large();
    *out = INT_VALUE(result);
    return HONE_OK;
}

static hone_status integer_arithmetic(token_kind op, int64_t a, int64_t b, value *out) {
    int64_t r = 0;
    bool over = false;
    if ((op == T_DIV || op == T_FLOORDIV || op == T_MOD) && b == 0)
        return misuse("division by zero");
    switch (op) {
    case T_ADD: over = __builtin_add_overflow(a, b, &r); break;
    case T_SUB: over = __builtin_sub_overflow(a, b, &r); break;
    case T_MUL: over = __builtin_mul_overflow(a, b, &r); break;
    case T_DIV: *out = FLOAT_VALUE((double)a / (double)b); return HONE_OK;
    case T_FLOORDIV:
        if (b == -1) over = __builtin_sub_overflow((int64_t)0, a, &r);
        else r = floor_div(a, b);
        break;
    case T_MOD: r = b == -1 ? 0 : a - floor_div(a, b) * b; break;
    default: return power(a, b, out);
    }
    *out = INT_VALUE(r);
    return over ? too_large() : HONE_OK;
}

static hone_status real_arithmetic(token_kind op, double a, double b, value *out) {
    if ((op == T_DIV || op == T_FLOORDIV || op == T_MOD) && b == 0)
        return misuse("division by zero");
    double r = 0;
    switch (op) {
    case T_ADD: r = a + b; break;
    case T_SUB: r = a - b; break;
    case T_MUL: r = a * b; break;
    case T_DIV: r = a / b; break;
    case T_FLOORDIV: r = floor(a / b); break;
    case T_MOD:
        r = fmod(a, b);
        if (r != 0 && (r < 0) != (b < 0)) r += b;
        break;
    default: r = pow(a, b); break;
    }
    *out = FLOAT_VALUE(r);
    return HONE_OK;
}

/* As jinja2's Markup: beside a safe string the other side is escaped. */
static hone_status add_texts(interp *in, const text *a, const text *b, value *out) {
    if (a->safe == b->safe) {
        TRY(text_concat(in, a, b, out));
    } else {
        value escaped;
        TRY(text_escape(in, a->safe ? b : a, &escaped));
        TRY(text_concat(in, a->safe ? a : escaped.text, a->safe ? escaped.text : b, out));
    }
    return a->safe || b->safe ? text_safe(in, out->text, out) : HONE_OK;
}

static hone_status add_lists(interp *in, value a, value b, value *out) {
    TRY(list_new(in, a.type, a.list->n + b.list->n, out));
    for (size_t i = 0; i < a.list->n; i++) TRY(list_add(in, out->list, a.list->items[i]));
    for (size_t i = 0; i < b.list->n; i++) TRY(list_add(in, out->list, b.list->items[i]));
    return HONE_OK;
}

static hone_status repeat(interp *in, value v, int64_t count, value *out) {
    if (v.type == V_TEXT) return text_repeat(in, v.text, count, out);
    TRY(list_new(in, v.type, 0, out));
    for (int64_t i = 0; i < count && v.list->n; i++)
        for (size_t j = 0; j < v.list->n; j++) TRY(list_add(in, out->list, v.list->items[j]));
    return HONE_OK;
}

static bool is_sequence(value v) {
    return v.type == V_TEXT || v.type == V_LIST || v.type == V_TUPLE;
}

static const char *op_name(token_kind op) {
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
    return op >= T_ADD && op <= T_POW ? names[op - T_ADD] : "?";
}

hone_status binary(interp *in, token_kind op, value a, value b, value *out) {
    int64_t i, j;
    if (as_integer(a, &i) && as_integer(b, &j)) return integer_arithmetic(op, i, j, out);
    if (is_number(a) && is_number(b)) return real_arithmetic(op, as_real(a), as_real(b), out);
    if (op == T_MOD && a.type == V_TEXT) {
        call_args args = {.positional = &b, .n = 1};
        if (b.type == V_TUPLE) args = (call_args){.positional = b.list->items, .n = b.list->n};
        return format_percent(in, a.text, &args, out);
    }
    if (a.type == V_UNDEFINED) return undefined_error(a);
    if (b.type == V_UNDEFINED) return undefined_error(b);
    if (op == T_ADD && a.type == b.type && is_sequence(a))
        return a.type == V_TEXT ? add_texts(in, a.text, b.text, out) : add_lists(in, a, b, out);
    if (op == T_MUL && is_sequence(a) && as_integer(b, &j)) return repeat(in, a, j, out);
    if (op == T_MUL && is_sequence(b) && as_integer(a, &i)) return repeat(in, b, i, out);
    return misuse("no \"%s\" between %s and %s", op_name(op), type_name(a), type_name(b));
}

static hone_status negate(value v, value *out) {
    int64_t i;
    if (v.type == V_UNDEFINED) return undefined_error(v);
    if (as_integer(v, &i)) return integer_arithmetic(T_SUB, 0, i, out);
    if (v.type != V_FLOAT) return misuse("no \"-\" before %s", type_name(v));
    *out = FLOAT_VALUE(-v.real);
    return HONE_OK;
}

/* ---- comparison ---- */

static hone_status compare(interp *in, token_kind op, value a, value b, bool *out) {
    int order = 0;
    switch (op) {
    case T_EQ:
    case T_NE: TRY(values_equal(in, a, b, out)); break;
    case T_IN:
    case T_NOT_IN: TRY(value_contains(in, b, a, out)); break;
    default: TRY(values_order(in, a, b, &order)); break;
    }
    switch (op) {
    case T_NE:
    case T_NOT_IN: *out = !*out; break;
    case T_LT: *out = order == -1; break;
    case T_LE: *out = order <= 0; break;
    case T_GT: *out = order == 1; break;
    case T_GE: *out = order == 0 || order == 1; break;
    default: break;
    }
    return HONE_OK;
}

static hone_status eval_compare(interp *in, const node *e, value *out) {
    value left, right;
    bool holds = true;
    TRY(eval(in, e->left, &left));
    for (const node *o = e->list; o && holds; o = o->next) {
        TRY(eval(in, o->left, &right));
        TRY(compare(in, o->op, left, right, &holds));
        left = right;
    }
    *out = BOOL_VALUE(holds);
    return HONE_OK;
}

/* ---- attributes, items, slices ---- */

hone_status get_attribute(interp *in, value object, const char *name, value *out) {
    if (object.type == V_UNDEFINED) return undefined_error(object);
    const builtin *function = method_find(object.type, name);
    if (function) {
        method *m = arena_alloc(&in->arena, 1, sizeof *m);
        if (!m) return HONE_ERR_MEMORY;
        *m = (method){.function = function, .self = object};
        *out = (value){.type = V_METHOD, .method = m};
        return HONE_OK;
    }
    *out = UNDEFINED_VALUE(name);
    if (object.type == V_LOOP) return get_loop_attribute(in, object.loop, name, out);
    if (object.type == V_MACRO && strcmp(name, "name") == 0)
        return text_new(in, object.macro->name, strlen(object.macro->name), FROM_TEMPLATE, out);
    if (object.type == V_DICT || object.type == V_NAMESPACE) {
        TRY(spend(in, object.dict->n / 8));
        const value *item = dict_get_name(object.dict, name);
        if (item) *out = *item;
    }
    return HONE_OK;
}

static hone_status item_of_sequence(interp *in, value object, int64_t at, value *out) {
    int64_t n;
    if (object.type == V_TEXT) TRY(spend(in, object.text->n / 8));
    TRY(value_length(object, &n));
    if (at < 0) at += n;
    if (at < 0 || at >= n) return HONE_OK; /* stays undefined */
    if (object.type != V_TEXT) {
        *out = object.list->items[at];
        return HONE_OK;
    }
    size_t begin = text_offset(object.text, (size_t)at);
    return text_slice(in, object.text, begin, begin + char_bytes(object.text, begin), out);
}

hone_status get_item(interp *in, value object, value key, value *out) {
    int64_t at;
    *out = UNDEFINED_VALUE(NULL);
    if (object.type == V_UNDEFINED) return undefined_error(object);
    if (object.type == V_DICT) {
        dict_entry *entry = NULL;
        if (key.type != V_LIST && key.type != V_DICT && key.type != V_NAMESPACE)
            TRY(dict_find(in, object.dict, key, &entry));
        if (entry) {
            *out = entry->item;
            return HONE_OK;
        }
    }
    if (is_sequence(object) && as_integer(key, &at)) return item_of_sequence(in, object, at, out);
    if (key.type != V_TEXT) return HONE_OK;
    /* a name that is no item may still be an attribute */
    char *name = arena_alloc(&in->arena, key.text->n + 1, 1);
    if (!name) return HONE_ERR_MEMORY;
    memcpy(name, key.text->bytes, key.text->n);
    return get_attribute(in, object, name, out);
}

static hone_status slice_bound(interp *in, const node *e, const char *what, int64_t otherwise,
                               int64_t *out, bool *given) {
    value v = NONE_VALUE;
    if (e) TRY(eval(in, e, &v));
    *given = v.type != V_NONE;
    *out = otherwise;
    return *given ? expect_integer(v, what, out) : HONE_OK;
}

static int64_t clamp(int64_t at, int64_t n, int64_t low, int64_t high) {
    if (at < 0) at = at < -n ? low : at + n;
    return at < low ? low : at > high ? high : at;
}

/* Python's slice.indices: positions begin, begin + step, … before end. */
static hone_status slice_range(interp *in, const node *e, int64_t n, int64_t *begin, int64_t *end,
                               int64_t *step) {
    bool has_begin, has_end, has_step;
    TRY(slice_bound(in, e->third, "slice step", 1, step, &has_step));
    if (*step == 0) return misuse("slice step is zero");
    TRY(slice_bound(in, e->left, "slice begin", 0, begin, &has_begin));
    TRY(slice_bound(in, e->right, "slice end", 0, end, &has_end));
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? n - 1 : n;
    *begin = has_begin ? clamp(*begin, n, low, high) : *step < 0 ? high : low;
    *end = has_end ? clamp(*end, n, low, high) : *step < 0 ? low : high;
    if (*step > n + 1) *step = n + 1; /* keeps begin + step from overflowing */
    if (*step < -n - 1) *step = -n - 1;
    return HONE_OK;
}

static hone_status slice_text(interp *in, const text *t, int64_t begin, int64_t end, int64_t step,
                              value *out) {
    TRY(spend(in, t->n / 16));
    if (step == 1) {
        size_t from = text_offset(t, (size_t)begin);
        text tail = {.bytes = t->bytes + from, .n = t->n - from};
        size_t length = end > begin ? text_offset(&tail, (size_t)(end - begin)) : 0;
        return text_slice(in, t, from, from + length, out);
    }
    list *chars;
    text_builder made;
    builder_init(&made, in);
    TRY(iterate(in, TEXT_VALUE(t), &chars));
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step)
        TRY(builder_add_text(&made, chars->items[i].text));
    return builder_finish(&made, out);
}

static hone_status eval_slice(interp *in, value object, const node *e, value *out) {
    int64_t n, begin, end, step;
    if (object.type == V_UNDEFINED) return undefined_error(object);
    *out = UNDEFINED_VALUE(NULL);
    if (!is_sequence(object)) return HONE_OK;
    TRY(value_length(object, &n));
    TRY(slice_range(in, e, n, &begin, &end, &step));
    if (object.type == V_TEXT) return slice_text(in, object.text, begin, end, step, out);
    TRY(list_new(in, object.type, 0, out));
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step)
        TRY(list_add(in, out->list, object.list->items[i]));
    return HONE_OK;
}

/* ---- calls ---- */

hone_status eval_args(interp *in, const node *args, const value *self, call_args *out) {
    size_t n = self != NULL, n_named = 0;
    for (const node *a = args; a; a = a->next) *(a->type == E_ARGUMENT ? &n_named : &n) += 1;
    *out = (call_args){0};
    out->positional = arena_alloc(&in->arena, n, sizeof *out->positional);
    out->named = arena_alloc(&in->arena, n_named, sizeof *out->named);
    if (!out->positional || !out->named) return HONE_ERR_MEMORY;
    if (self) out->positional[out->n++] = *self;
    for (const node *a = args; a; a = a->next) {
        if (a->type == E_ARGUMENT) {
            named_value *named = &out->named[out->n_named++];
            named->name = a->name;
            TRY(eval(in, a->left, &named->value));
        } else {
            TRY(eval(in, a, &out->positional[out->n++]));
        }
    }
    return HONE_OK;
}

hone_status args_bind(const call_args *args, const char *what, const char *const *names,
                      size_t n_required, size_t n_names, value *slots) {
    if (args->n > n_names)
        return misuse("%s takes at most %zu arguments, found %zu", what, n_names, args->n);
    for (size_t i = 0; i < n_names; i++)
        slots[i] = i < args->n ? args->positional[i] : (value){.type = V_MISSING};
    for (size_t a = 0; a < args->n_named; a++) {
        size_t i = 0;
        while (i < n_names && strcmp(names[i], args->named[a].name) != 0) i++;
        if (i == n_names) return misuse("%s has no argument \"%s\"", what, args->named[a].name);
        if (slots[i].type != V_MISSING)
            return misuse("%s: argument \"%s\" given twice", what, names[i]);
        slots[i] = args->named[a].value;
    }
    for (size_t i = 0; i < n_required; i++)
        if (slots[i].type == V_MISSING) return misuse("%s needs argument \"%s\"", what, names[i]);
    return HONE_OK;
}

hone_status call_value(interp *in, value callee, const call_args *args, value *out) {
    switch (callee.type) {
    case V_UNDEFINED: return undefined_error(callee);
    case V_FUNCTION: return callee.function->call(in, args, out);
    case V_MACRO: return call_macro(in, callee.macro, args, out);
    case V_LOOP: return call_loop(in, callee.loop, args, out);
    case V_METHOD: break;
    default: return misuse("%s cannot be called", type_name(callee));
    }
    const method *m = callee.method;
    if (!m->function->call)
        return fail(HONE_ERR_UNSUPPORTED, "method \"%s\" of %s is not supported",
                    m->function->name, type_name(m->self));
    value *positional = arena_alloc(&in->arena, args->n + 1, sizeof *positional);
    if (!positional) return HONE_ERR_MEMORY;
    positional[0] = m->self;
    if (args->n) memcpy(positional + 1, args->positional, args->n * sizeof *positional);
    call_args with_self = *args;
    with_self.positional = positional;
    with_self.n++;
    return m->function->call(in, &with_self, out);
}

static hone_status eval_call(interp *in, const node *e, value *out) {
    value callee;
    call_args args;
    TRY(eval(in, e->left, &callee));
    TRY(eval_args(in, e->list, NULL, &args));
    in->line = e->line;
    return call_value(in, callee, &args, out);
}

/* Filters and tests. */
static hone_status eval_applied(interp *in, const node *e, value *out) {
    value self;
    call_args args;
    if (!e->function)
        return fail(HONE_ERR_UNSUPPORTED, "no %s named \"%s\"",
                    e->type == E_TEST ? "test" : "filter", e->name);
    TRY(eval(in, e->left, &self));
    TRY(eval_args(in, e->list, &self, &args));
    in->line = e->line;
    return e->function->call(in, &args, out);
}

/* ---- the rest ---- */

static hone_status eval_items(interp *in, const node *e, value *out) {
    TRY(list_new(in, e->type == E_LIST ? V_LIST : V_TUPLE, 0, out));
    for (const node *i = e->list; i; i = i->next) {
        value item;
        TRY(eval(in, i, &item));
        TRY(list_add(in, out->list, item));
    }
    return HONE_OK;
}

static hone_status eval_dict(interp *in, const node *e, value *out) {
    TRY(dict_new(in, out));
    for (const node *k = e->list; k; k = k->next->next) {
        value key, item;
        TRY(eval(in, k, &key));
        TRY(eval(in, k->next, &item));
        TRY(dict_put(in, out->dict, key, item));
    }
    return HONE_OK;
}

static hone_status eval_concat(interp *in, const node *e, value *out) {
    text_builder made;
    builder_init(&made, in);
    for (const node *part = e->list; part; part = part->next) {
        value v;
        TRY(eval(in, part, &v));
        TRY(print_value(&made, v));
    }
    return builder_finish(&made, out);
}

static hone_status eval_condition(interp *in, const node *e, value *out) {
    value condition;
    TRY(eval(in, e->left, &condition));
    const node *chosen = truth(condition) ? e->right : e->third;
    *out = UNDEFINED_VALUE("the inline if-expression without else");
    return chosen ? eval(in, chosen, out) : HONE_OK;
}

/* and, or: the operand that decided */
static hone_status eval_logic(interp *in, const node *e, value *out) {
    TRY(eval(in, e->left, out));
    return truth(*out) == (e->type == E_AND) ? eval(in, e->right, out) : HONE_OK;
}

static hone_status eval_access(interp *in, const node *e, value *out) {
    value object, key;
    TRY(eval(in, e->left, &object));
    if (e->type == E_GETATTR) return get_attribute(in, object, e->name, out);
    if (e->right->type == E_SLICE) return eval_slice(in, object, e->right, out);
    TRY(eval(in, e->right, &key));
    return get_item(in, object, key, out);
}

static hone_status eval_unary(interp *in, const node *e, value *out) {
    value v;
    TRY(eval(in, e->left, &v));
    if (e->type == E_NEGATE) return negate(v, out);
    *out = e->type == E_NOT ? BOOL_VALUE(!truth(v)) : v;
    if (e->type == E_PLUS && !is_number(v)) return misuse("no \"+\" before %s", type_name(v));
    return HONE_OK;
}

static hone_status eval_binary(interp *in, const node *e, value *out) {
    value a, b;
    TRY(eval(in, e->left, &a));
    TRY(eval(in, e->right, &b));
    in->line = e->line;
    return binary(in, e->op, a, b, out);
}

static hone_status eval_node(interp *in, const node *e, value *out) {
    switch (e->type) {
    case E_CONST: *out = e->constant; return HONE_OK;
    case E_NAME: return find_name(in, e->name, out);
    case E_LIST:
    case E_TUPLE: return eval_items(in, e, out);
    case E_DICT: return eval_dict(in, e, out);
    case E_GETATTR:
    case E_GETITEM: return eval_access(in, e, out);
    case E_CALL: return eval_call(in, e, out);
    case E_FILTER:
    case E_TEST: return eval_applied(in, e, out);
    case E_NOT:
    case E_NEGATE:
    case E_PLUS: return eval_unary(in, e, out);
    case E_BINARY: return eval_binary(in, e, out);
    case E_AND:
    case E_OR: return eval_logic(in, e, out);
    case E_COMPARE: return eval_compare(in, e, out);
    case E_CONCAT: return eval_concat(in, e, out);
    case E_CONDITION: return eval_condition(in, e, out);
    default: return misuse("a slice needs a list or a string before it");
    }
}

hone_status eval(interp *in, const node *e, value *out) {
    in->line = e->line;
    TRY(spend(in, 1));
    TRY(enter(in));
    value v;
    TRY(eval_node(in, e, &v));
    leave(in);
    *out = v;
    return HONE_OK;
}
