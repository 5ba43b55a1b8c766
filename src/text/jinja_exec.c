/* Statements: scopes, loops, macros. */
#include <string.h>

#include "text/jinja_int.h"

/* How a body ended. */
typedef enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;

static hone_status exec_body(interp *in, const node *body, flow *how);

/* ---- scopes ---- */

hone_status scope_set(interp *in, scope *s, const char *name, value v) {
    for (size_t i = 0; i < s->n; i++)
        if (s->variables[i].name == name) {
            s->variables[i].value = v;
            return HONE_OK;
        }
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 4;
        variable *grown = arena_grow(&in->arena, s->variables, s->n * sizeof *grown,
                                           capacity * sizeof *grown);
        if (!grown) return HONE_ERR_MEMORY;
        s->variables = grown;
        s->capacity = capacity;
    }
    s->variables[s->n++] = (variable){.name = name, .value = v};
    return HONE_OK;
}

static scope *scope_new(interp *in, scope *parent) {
    scope *s = arena_alloc(&in->arena, 1, sizeof *s);
    if (s) s->parent = parent;
    return s;
}

static hone_status set_attribute(interp *in, const node *target, value v) {
    value object;
    TRY(eval(in, target->left, &object));
    if (object.type != V_NAMESPACE)
        return misuse("cannot set attribute \"%s\" of %s: only of a namespace", target->name,
                      type_name(object));
    value *there = dict_get_name(object.dict, target->name);
    if (!there) return dict_put_name(in, object.dict, target->name, v);
    *there = v;
    return HONE_OK;
}

/* Gives v to a name, a namespace's attribute, or item by item to a tuple of them. */
static hone_status assign(interp *in, scope *s, const node *target, value v) {
    if (target->type == E_NAME) return scope_set(in, s, target->name, v);
    if (target->type == E_GETATTR) return set_attribute(in, target, v);
    list *items;
    size_t i = 0;
    TRY(enter(in));
    TRY(iterate(in, v, &items));
    for (const node *t = target->list; t; t = t->next, i++) {
        if (i >= items->n) return misuse("too few values to unpack: %zu", items->n);
        TRY(assign(in, s, t, items->items[i]));
    }
    leave(in);
    return i < items->n ? misuse("too many values to unpack: %zu for %zu names", items->n, i)
                        : HONE_OK;
}

/* A body's output as a string instead of in the render's. The body cannot be left by break. */
static hone_status exec_captured(interp *in, const node *body, value *out) {
    text_builder made, *before = in->out;
    flow how = FLOW_ON;
    builder_init(&made, in);
    in->out = &made;
    TRY(exec_body(in, body, &how));
    in->out = before;
    return builder_finish(&made, out);
}

static hone_status captured_in_new_scope(interp *in, const node *body, value *out) {
    scope *before = in->scope;
    in->scope = scope_new(in, before);
    if (!in->scope) return HONE_ERR_MEMORY;
    TRY(exec_captured(in, body, out));
    in->scope = before;
    return HONE_OK;
}

/* ---- macros ---- */

static const value *named_argument(const call_args *args, const char *name) {
    for (size_t i = 0; i < args->n_named; i++)
        if (args->named[i].name == name || strcmp(args->named[i].name, name) == 0)
            return &args->named[i].value;
    return NULL;
}

static bool is_parameter(const macro *m, const char *name) {
    for (const node *p = m->parameters; p; p = p->next)
        if (strcmp(p->name, name) == 0) return true;
    return false;
}

/* Arguments beyond the parameters: varargs and kwargs, where the body uses them. */
static hone_status bind_rest(interp *in, const macro *m, const call_args *args, size_t n_bound) {
    const known_names *known = &in->tree->names;
    value rest, named;
    TRY(list_new(in, V_TUPLE, 0, &rest));
    TRY(dict_new(in, &named));
    for (size_t i = n_bound; i < args->n; i++) TRY(list_add(in, rest.list, args->positional[i]));
    for (size_t i = 0; i < args->n_named; i++) {
        const char *name = args->named[i].name;
        if (is_parameter(m, name)) continue;
        if (strcmp(name, known->caller) == 0) {
            TRY(scope_set(in, in->scope, known->caller, args->named[i].value));
            continue;
        }
        if (!m->takes_rest) return misuse("macro %s has no parameter \"%s\"", m->name, name);
        TRY(dict_put_name(in, named.dict, name, args->named[i].value));
    }
    if (!m->takes_rest)
        return rest.list->n ? misuse("macro %s takes at most %zu arguments, found %zu", m->name,
                                     n_bound, args->n)
                            : HONE_OK;
    TRY(scope_set(in, in->scope, known->varargs, rest));
    return scope_set(in, in->scope, known->kwargs, named);
}

static hone_status bind_parameters(interp *in, const macro *m, const call_args *args) {
    size_t i = 0;
    for (const node *p = m->parameters; p; p = p->next, i++) {
        const value *named = named_argument(args, p->name);
        value v = UNDEFINED_VALUE(p->name);
        if (i < args->n && named)
            return misuse("macro %s: argument \"%s\" given twice", m->name, p->name);
        if (i < args->n) v = args->positional[i];
        else if (named) v = *named;
        else if (p->right) TRY(eval(in, p->right, &v));
        TRY(scope_set(in, in->scope, p->name, v));
    }
    return bind_rest(in, m, args, i < args->n ? i : args->n);
}

hone_status call_macro(interp *in, const macro *m, const call_args *args, value *out) {
    scope *before = in->scope;
    uint32_t line = in->line;
    TRY(enter(in));
    in->scope = scope_new(in, m->scope);
    if (!in->scope) return HONE_ERR_MEMORY;
    TRY(bind_parameters(in, m, args));
    TRY(exec_captured(in, m->body, out));
    leave(in);
    in->scope = before;
    in->line = line;
    return HONE_OK;
}

static hone_status make_macro(interp *in, const node *n, const char *name, value *out) {
    macro *m = arena_alloc(&in->arena, 1, sizeof *m);
    if (!m) return HONE_ERR_MEMORY;
    *m = (macro){.name = name, .parameters = n->list, .body = n->body, .scope = in->scope,
                 .takes_rest = n->takes_rest};
    *out = (value){.type = V_MACRO, .macro = m};
    return HONE_OK;
}

static hone_status exec_macro(interp *in, const node *n) {
    value m;
    TRY(make_macro(in, n, n->name, &m));
    return scope_set(in, in->scope, n->name, m);
}

/* {% call(…) m(…) %}: the block becomes the macro `caller` of the one that is called. */
static hone_status exec_call_block(interp *in, const node *n) {
    const node *call = n->left;
    value callee, result;
    call_args args;
    TRY(eval(in, call->left, &callee));
    TRY(eval_args(in, call->list, NULL, &args));
    named_value *named = arena_alloc(&in->arena, args.n_named + 1, sizeof *named);
    if (!named) return HONE_ERR_MEMORY;
    if (args.n_named) memcpy(named, args.named, args.n_named * sizeof *named);
    args.named = named;
    args.named[args.n_named].name = in->tree->names.caller;
    TRY(make_macro(in, n, "caller", &args.named[args.n_named++].value));
    TRY(call_value(in, callee, &args, &result));
    return print_value(in->out, result);
}

/* ---- loops ---- */

/* The items that pass the loop's `if`. */
static hone_status filter_items(interp *in, const node *n, list **items) {
    scope *before = in->scope;
    value kept;
    TRY(list_new(in, V_LIST, 0, &kept));
    for (size_t i = 0; i < (*items)->n; i++) {
        value passes;
        in->scope = scope_new(in, before);
        if (!in->scope) return HONE_ERR_MEMORY;
        TRY(assign(in, in->scope, n->right, (*items)->items[i]));
        TRY(eval(in, n->third, &passes));
        if (truth(passes)) TRY(list_add(in, kept.list, (*items)->items[i]));
    }
    in->scope = before;
    *items = kept.list;
    return HONE_OK;
}

static hone_status exec_items(interp *in, const node *n, value iterable, size_t depth, flow *how) {
    scope *before = in->scope;
    list *items;
    TRY(iterate(in, iterable, &items));
    if (n->third) TRY(filter_items(in, n, &items));
    loop *l = arena_alloc(&in->arena, 1, sizeof *l);
    if (!l) return HONE_ERR_MEMORY;
    *l = (loop){.node = n, .scope = before, .items = items, .depth = depth,
                .last_changed = {.type = V_MISSING}};
    for (; l->index < items->n; l->index++) {
        flow inside = FLOW_ON;
        TRY(spend(in, 1));
        in->scope = scope_new(in, before);
        if (!in->scope) return HONE_ERR_MEMORY;
        TRY(scope_set(in, in->scope, in->tree->names.loop, (value){.type = V_LOOP, .loop = l}));
        TRY(assign(in, in->scope, n->right, items->items[l->index]));
        TRY(exec_body(in, n->body, &inside));
        if (inside == FLOW_BREAK) break;
    }
    in->scope = before;
    return items->n ? HONE_OK : exec_body(in, n->otherwise, how);
}

static hone_status exec_for(interp *in, const node *n, flow *how) {
    value iterable;
    TRY(eval(in, n->left, &iterable));
    return exec_items(in, n, iterable, 1, how);
}

/* loop(items): the loop's body again, one level down, as a string. */
hone_status call_loop(interp *in, const loop *l, const call_args *args, value *out) {
    value iterable;
    if (!l->node->recursive) return misuse("loop() in a loop that is not recursive");
    TRY(ARGS_BIND(args, "loop()", 1, &iterable, "iterable"));
    scope *before = in->scope;
    text_builder made, *out_before = in->out;
    flow how = FLOW_ON;
    builder_init(&made, in);
    TRY(enter(in));
    in->out = &made;
    in->scope = l->scope;
    TRY(exec_items(in, l->node, iterable, l->depth + 1, &how));
    in->out = out_before;
    in->scope = before;
    leave(in);
    return builder_finish(&made, out);
}

hone_status get_loop_attribute(interp *in, const loop *l, const char *name, value *out) {
    const struct {
        const char *name;
        size_t value;
    } counts[] = {
        {"index", l->index + 1},  {"index0", l->index},
        {"length", l->items->n},  {"revindex", l->items->n - l->index},
        {"depth", l->depth},      {"revindex0", l->items->n - l->index - 1},
        {"depth0", l->depth - 1},
    };
    (void)in;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strcmp(counts[i].name, name) == 0) *out = INT_VALUE((int64_t)counts[i].value);
    bool first = l->index == 0, last = l->index + 1 == l->items->n;
    if (strcmp(name, "first") == 0) *out = BOOL_VALUE(first);
    if (strcmp(name, "last") == 0) *out = BOOL_VALUE(last);
    if (strcmp(name, "previtem") == 0 && !first) *out = l->items->items[l->index - 1];
    if (strcmp(name, "nextitem") == 0 && !last) *out = l->items->items[l->index + 1];
    return HONE_OK;
}

/* ---- statements ---- */

static hone_status exec_if(interp *in, const node *n, flow *how) {
    for (const node *branch = n->list; branch; branch = branch->next) {
        value condition;
        TRY(eval(in, branch->left, &condition));
        if (truth(condition)) return exec_body(in, branch->body, how);
    }
    return exec_body(in, n->otherwise, how);
}

/* A filter chain written for a block: its innermost object is the block's text. */
static hone_status apply_chain(interp *in, const node *chain, value *v) {
    call_args args;
    TRY(enter(in));
    if (chain->left) TRY(apply_chain(in, chain->left, v));
    leave(in);
    if (!chain->function)
        return fail(HONE_ERR_UNSUPPORTED, "no filter named \"%s\"", chain->name);
    TRY(eval_args(in, chain->list, v, &args));
    return chain->function->call(in, &args, v);
}

static hone_status exec_captured_block(interp *in, const node *n) {
    value v;
    TRY(captured_in_new_scope(in, n->body, &v));
    if (n->third) TRY(apply_chain(in, n->third, &v));
    return n->type == S_SET_BLOCK ? assign(in, in->scope, n->right, v) : print_value(in->out, v);
}

/* {% with a = 1 %} and {% generation %}: a scope of their own. The values see the outer one. */
static hone_status exec_scoped(interp *in, const node *n, flow *how) {
    scope *before = in->scope, *inner = scope_new(in, before);
    if (!inner) return HONE_ERR_MEMORY;
    for (const node *s = n->list; s; s = s->next) {
        value v;
        TRY(eval(in, s->left, &v));
        TRY(assign(in, inner, s->right, v));
    }
    in->scope = inner;
    TRY(exec_body(in, n->body, how));
    in->scope = before;
    return HONE_OK;
}

static hone_status exec_simple(interp *in, const node *n) {
    value v;
    TRY(eval(in, n->left, &v));
    return n->type == S_OUTPUT ? print_value(in->out, v) : assign(in, in->scope, n->right, v);
}

static hone_status exec_node(interp *in, const node *n, flow *how) {
    switch (n->type) {
    case S_TEXT: return builder_add_text(in->out, n->constant.text);
    case S_OUTPUT:
    case S_SET: return exec_simple(in, n);
    case S_IF: return exec_if(in, n, how);
    case S_FOR: return exec_for(in, n, how);
    case S_MACRO: return exec_macro(in, n);
    case S_CALL_BLOCK: return exec_call_block(in, n);
    case S_SET_BLOCK:
    case S_FILTER_BLOCK: return exec_captured_block(in, n);
    case S_WITH:
    case S_SCOPE: return exec_scoped(in, n, how);
    case S_BREAK: *how = FLOW_BREAK; return HONE_OK;
    case S_CONTINUE: *how = FLOW_CONTINUE; return HONE_OK;
    default: return misuse("an expression where a statement belongs");
    }
}

static hone_status exec_body(interp *in, const node *body, flow *how) {
    TRY(enter(in));
    for (const node *n = body; n && *how == FLOW_ON; n = n->next) {
        in->line = n->line;
        TRY(spend(in, 1));
        TRY(exec_node(in, n, how));
    }
    leave(in);
    return HONE_OK;
}

hone_status jinja_run(interp *in) {
    flow how = FLOW_ON;
    scope *variables = scope_new(in, NULL);
    if (!variables) return HONE_ERR_MEMORY;
    in->root = in->scope = scope_new(in, variables);
    if (!in->root) return HONE_ERR_MEMORY;
    return exec_body(in, in->tree->body, &how);
}
