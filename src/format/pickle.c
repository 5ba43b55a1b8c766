#include "format/pickle.h"

#include <string.h>

#include "base/mem.h"

enum {
    MAX_VALUES = 1 << 20,
    MAX_STACK = 1 << 16,
    MAX_MEMO = 1 << 20,
    MAX_TEXT = 1 << 16,
    BLOCK_VALUES = 1024
};

typedef struct block {
    struct block *next;
    size_t n;
    pickle_value values[BLOCK_VALUES];
} block;

struct pickle {
    block *blocks; /* all values, newest block first */
    size_t n_values;
    pickle_value *root;
};

typedef struct machine {
    pickle *p;
    const uint8_t *at, *end;
    pickle_value **stack;
    size_t n_stack, stack_room;
    size_t *marks; /* heights of the stack */
    size_t n_marks, marks_room;
    pickle_value **memo; /* NULL = not set */
    size_t n_memo, n_memoized; /* slots, and how many are set */
} machine;

/* --- values --- */

static hone_status new_value(machine *m, pickle_kind kind, pickle_value **out) {
    pickle *p = m->p;
    if (p->n_values == MAX_VALUES)
        return fail(HONE_ERR_FORMAT, "more than %d values", MAX_VALUES);
    if (!p->blocks || p->blocks->n == BLOCK_VALUES) {
        block *b = mem_calloc(1, sizeof *b);
        if (!b) return mem_fail("pickle", sizeof *b);
        b->next = p->blocks;
        p->blocks = b;
    }
    p->n_values++;
    *out = &p->blocks->values[p->blocks->n++];
    (*out)->kind = kind;
    return HONE_OK;
}

static bool is_container(const pickle_value *v) {
    return v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT;
}

static hone_status append(pickle_value *to, const pickle_value *item) {
    TRY(mem_grow(&to->list.items, &to->list.room,
                 to->list.n + 1, sizeof *to->list.items, "pickle"));
    to->list.items[to->list.n++] = item;
    return HONE_OK;
}

void pickle_close(pickle *p) {
    if (!p) return;
    while (p->blocks) {
        block *b = p->blocks;
        p->blocks = b->next;
        for (size_t i = 0; i < b->n; i++)
            if (is_container(&b->values[i])) mem_free(b->values[i].list.items);
        mem_free(b);
    }
    mem_free(p);
}

/* --- the stack --- */

static hone_status push(machine *m, pickle_value *v) {
    if (m->n_stack == MAX_STACK)
        return fail(HONE_ERR_FORMAT, "a stack of more than %d values", MAX_STACK);
    TRY(mem_grow(&m->stack, &m->stack_room, m->n_stack + 1, sizeof *m->stack, "pickle"));
    m->stack[m->n_stack++] = v;
    return HONE_OK;
}

/* Values above the last mark only: what lies below belongs to somebody else. */
static hone_status pop(machine *m, pickle_value **v) {
    size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    if (m->n_stack <= floor) return fail(HONE_ERR_FORMAT, "a value is missing on the stack");
    *v = m->stack[--m->n_stack];
    return HONE_OK;
}

static hone_status push_mark(machine *m) {
    if (m->n_marks == MAX_STACK) return fail(HONE_ERR_FORMAT, "more than %d marks", MAX_STACK);
    TRY(mem_grow(&m->marks, &m->marks_room, m->n_marks + 1, sizeof *m->marks, "pickle"));
    m->marks[m->n_marks++] = m->n_stack;
    return HONE_OK;
}

/* The values above the last mark are stack[*from … n_stack − 1]; the mark is gone. */
static hone_status pop_mark(machine *m, size_t *from) {
    if (m->n_marks == 0) return fail(HONE_ERR_FORMAT, "a mark is missing");
    *from = m->marks[--m->n_marks];
    return HONE_OK;
}

static hone_status push_new(machine *m, pickle_kind kind, pickle_value **out) {
    TRY(new_value(m, kind, out));
    return push(m, *out);
}

/* Appends stack[from …] to a container and drops them. */
static hone_status move_items(machine *m, pickle_value *to, size_t from) {
    for (size_t i = from; i < m->n_stack; i++) TRY(append(to, m->stack[i]));
    m->n_stack = from;
    return HONE_OK;
}

static hone_status push_tuple(machine *m, size_t n_items) {
    size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    pickle_value *tuple = NULL;
    if (m->n_stack - floor < n_items)
        return fail(HONE_ERR_FORMAT, "a value is missing on the stack");
    TRY(new_value(m, PICKLE_TUPLE, &tuple));
    TRY(move_items(m, tuple, m->n_stack - n_items));
    return push(m, tuple);
}

static hone_status push_marked(machine *m, pickle_kind kind) {
    size_t from = 0;
    pickle_value *made = NULL;
    TRY(pop_mark(m, &from));
    if (kind == PICKLE_DICT && (m->n_stack - from) % 2)
        return fail(HONE_ERR_FORMAT, "a dictionary with a key and no value");
    TRY(new_value(m, kind, &made));
    TRY(move_items(m, made, from));
    return push(m, made);
}

/* APPENDS and SETITEMS: the container lies below the mark. */
static hone_status fill_marked(machine *m, pickle_kind kind) {
    size_t from = 0;
    TRY(pop_mark(m, &from));
    size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    if (from <= floor || m->stack[from - 1]->kind != kind ||
        (kind == PICKLE_DICT && (m->n_stack - from) % 2))
        return fail(HONE_ERR_FORMAT, "items without a %s", kind == PICKLE_DICT ? "dict" : "list");
    return move_items(m, m->stack[from - 1], from);
}

/* APPEND and SETITEM: the last 1 or 2 values go to the container before them. */
static hone_status fill(machine *m, pickle_kind kind, size_t n_items) {
    size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    if (m->n_stack - floor < n_items + 1 || m->stack[m->n_stack - n_items - 1]->kind != kind)
        return fail(HONE_ERR_FORMAT, "items without a %s", kind == PICKLE_DICT ? "dict" : "list");
    return move_items(m, m->stack[m->n_stack - n_items - 1], m->n_stack - n_items);
}

/* --- bytes --- */

static hone_status take(machine *m, size_t n, const uint8_t **bytes) {
    if (n > (size_t)(m->end - m->at)) return fail(HONE_ERR_FORMAT, "the pickle ends in the middle");
    *bytes = m->at;
    m->at += n;
    return HONE_OK;
}

static hone_status take_number(machine *m, size_t bytes, uint64_t *value) {
    const uint8_t *p = NULL;
    TRY(take(m, bytes, &p));
    *value = 0;
    for (size_t i = 0; i < bytes; i++) *value |= (uint64_t)p[i] << 8 * i;
    return HONE_OK;
}

static hone_status push_int(machine *m, int64_t integer, pickle_kind kind) {
    pickle_value *v = NULL;
    TRY(push_new(m, kind, &v));
    v->integer = integer;
    return HONE_OK;
}

static hone_status push_text(machine *m, size_t length_bytes) {
    uint64_t n = 0;
    const uint8_t *bytes = NULL;
    pickle_value *v = NULL;
    TRY(take_number(m, length_bytes, &n));
    if (n > MAX_TEXT) return fail(HONE_ERR_FORMAT, "a text of %llu bytes", (unsigned long long)n);
    TRY(take(m, (size_t)n, &bytes));
    TRY(push_new(m, PICKLE_TEXT, &v));
    v->text.data = (const char *)bytes;
    v->text.n = (size_t)n;
    return HONE_OK;
}

/* A number of up to 8 bytes in two's complement. */
static hone_status push_long(machine *m) {
    uint64_t n = 0, value = 0;
    TRY(take_number(m, 1, &n));
    if (n > 8) return fail(HONE_ERR_UNSUPPORTED, "a whole number of %u bytes", (unsigned)n);
    TRY(take_number(m, (size_t)n, &value));
    if (n > 0 && n < 8 && value >> (8 * n - 1) & 1) value |= UINT64_MAX << 8 * n;
    return push_int(m, (int64_t)value, PICKLE_INT);
}

/* Big-endian, unlike all else. */
static hone_status push_float(machine *m) {
    const uint8_t *p = NULL;
    uint64_t bits = 0;
    pickle_value *v = NULL;
    TRY(take(m, 8, &p));
    for (size_t i = 0; i < 8; i++) bits = bits << 8 | p[i];
    TRY(push_new(m, PICKLE_FLOAT, &v));
    memcpy(&v->real, &bits, sizeof bits);
    return HONE_OK;
}

/* --- classes and functions --- */

static const char *const allowed[] = {
    "collections OrderedDict",       "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter", "torch Size",
    "torch FloatStorage",            "torch HalfStorage",
    "torch BFloat16Storage",         "torch DoubleStorage",
    "torch LongStorage",             "torch IntStorage",
    "torch ShortStorage",            "torch CharStorage",
    "torch ByteStorage",             "torch BoolStorage",
};

static hone_status push_global_named(machine *m, const char *module, size_t n_module,
                                     const char *name, size_t n_name) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        const char *space = strchr(allowed[i], ' ');
        if ((size_t)(space - allowed[i]) != n_module || memcmp(allowed[i], module, n_module) != 0 ||
            strlen(space + 1) != n_name || memcmp(space + 1, name, n_name) != 0)
            continue;
        pickle_value *v = NULL;
        TRY(push_new(m, PICKLE_GLOBAL, &v));
        v->text.data = allowed[i];
        v->text.n = strlen(allowed[i]);
        return HONE_OK;
    }
    return fail(HONE_ERR_UNSUPPORTED, "it wants to use %.*s.%.*s, which is not allowed",
                (int)(n_module < 80 ? n_module : 80), module, (int)(n_name < 80 ? n_name : 80),
                name);
}

/* GLOBAL: two lines. */
static hone_status push_global(machine *m) {
    const char *part[2];
    size_t n[2];
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
        if (!end) return fail(HONE_ERR_FORMAT, "the pickle ends in the middle");
        part[i] = (const char *)m->at;
        n[i] = (size_t)(end - m->at);
        m->at = end + 1;
    }
    return push_global_named(m, part[0], n[0], part[1], n[1]);
}

static hone_status push_stack_global(machine *m) {
    pickle_value *module = NULL, *name = NULL;
    TRY(pop(m, &name));
    TRY(pop(m, &module));
    if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)
        return fail(HONE_ERR_FORMAT, "a class without a name");
    return push_global_named(m, module->text.data, module->text.n, name->text.data, name->text.n);
}

bool pickle_text_is(const pickle_value *v, const char *text) {
    return v && (v->kind == PICKLE_TEXT || v->kind == PICKLE_GLOBAL) && v->text.n == strlen(text) &&
           memcmp(v->text.data, text, v->text.n) == 0;
}

static bool is_ints(const pickle_value *v) {
    if (v->kind != PICKLE_TUPLE) return false;
    for (size_t i = 0; i < v->list.n; i++)
        if (v->list.items[i]->kind != PICKLE_INT) return false;
    return true;
}

/* (storage, offset, sizes, strides, requires_grad, hooks[, metadata]) */
static hone_status rebuild_tensor(machine *m, const pickle_value *args) {
    const pickle_value **a = args->list.items;
    pickle_value *v = NULL;
    if (args->list.n < 6 || args->list.n > 7 || a[0]->kind != PICKLE_STORAGE ||
        a[1]->kind != PICKLE_INT || !is_ints(a[2]) || !is_ints(a[3]))
        return fail(HONE_ERR_FORMAT, "a tensor that is not described as one");
    TRY(push_new(m, PICKLE_TENSOR, &v));
    v->tensor.storage = a[0];
    v->tensor.offset = a[1]->integer;
    v->tensor.sizes = a[2];
    v->tensor.strides = a[3];
    return HONE_OK;
}

static hone_status reduce(machine *m) {
    pickle_value *args = NULL, *function = NULL, *made = NULL;
    TRY(pop(m, &args));
    TRY(pop(m, &function));
    if (function->kind != PICKLE_GLOBAL || args->kind != PICKLE_TUPLE)
        return fail(HONE_ERR_FORMAT, "a call of what is no function");
    const pickle_value *first = args->list.n ? args->list.items[0] : NULL;
    if (pickle_text_is(function, "torch._utils _rebuild_tensor_v2")) return rebuild_tensor(m, args);
    if (pickle_text_is(function, "collections OrderedDict") && !first)
        return push_new(m, PICKLE_DICT, &made);
    if (pickle_text_is(function, "torch._utils _rebuild_parameter") && first &&
        first->kind == PICKLE_TENSOR)
        return push(m, (pickle_value *)first);
    if (pickle_text_is(function, "torch Size") && first && is_ints(first))
        return push(m, (pickle_value *)first);
    return fail(HONE_ERR_UNSUPPORTED, "it wants to call %.*s in an unknown way",
                (int)function->text.n, function->text.data);
}

/* BINPERSID: ("storage", class, key, location, count) */
static hone_status push_storage(machine *m) {
    pickle_value *id = NULL, *v = NULL;
    TRY(pop(m, &id));
    const pickle_value **a = id->kind == PICKLE_TUPLE ? id->list.items : NULL;
    if (!a || id->list.n != 5 || !pickle_text_is(a[0], "storage") || a[1]->kind != PICKLE_GLOBAL ||
        a[2]->kind != PICKLE_TEXT || a[4]->kind != PICKLE_INT || a[4]->integer < 0)
        return fail(HONE_ERR_FORMAT, "a storage that is not described as one");
    TRY(push_new(m, PICKLE_STORAGE, &v));
    v->storage.type = a[1];
    v->storage.key = a[2];
    v->storage.count = a[4]->integer;
    return HONE_OK;
}

/* BUILD sets attributes of an object (an OrderedDict's `_metadata`): dropped. */
static hone_status build(machine *m) {
    pickle_value *state = NULL;
    TRY(pop(m, &state));
    TRY(pop(m, &state));
    if (state->kind != PICKLE_DICT)
        return fail(HONE_ERR_UNSUPPORTED, "attributes of what is no dictionary");
    return push(m, state);
}

/* --- the memo --- */

static hone_status memo_put(machine *m, uint64_t i) {
    size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    if (i >= MAX_MEMO || m->n_stack <= floor)
        return fail(HONE_ERR_FORMAT, "memo %llu of nothing, or beyond %d", (unsigned long long)i,
                    MAX_MEMO);
    if (i >= m->n_memo) {
        size_t n = (size_t)i + (size_t)i / 2 + 64;
        pickle_value **memo = mem_realloc(m->memo, n, sizeof *memo);
        if (!memo) return mem_fail("pickle", n * sizeof *memo);
        memset(memo + m->n_memo, 0, (n - m->n_memo) * sizeof *memo);
        m->memo = memo;
        m->n_memo = n;
    }
    if (!m->memo[i]) m->n_memoized++;
    m->memo[i] = m->stack[m->n_stack - 1];
    return HONE_OK;
}

static hone_status memo_get(machine *m, uint64_t i) {
    if (i >= m->n_memo || !m->memo[i])
        return fail(HONE_ERR_FORMAT, "memo %llu is empty", (unsigned long long)i);
    return push(m, m->memo[i]);
}

static hone_status with_number(machine *m, size_t bytes,
                               hone_status (*use)(machine *m, uint64_t value)) {
    uint64_t value = 0;
    TRY(take_number(m, bytes, &value));
    return use(m, value);
}

static hone_status skip(machine *m, uint64_t value) {
    (void)m, (void)value;
    return HONE_OK;
}

static hone_status push_unsigned(machine *m, uint64_t value) {
    return push_int(m, (int64_t)value, PICKLE_INT);
}

static hone_status push_signed32(machine *m, uint64_t value) {
    return push_int(m, (int32_t)(uint32_t)value, PICKLE_INT);
}

/* --- opcodes (Python's pickletools) --- */

static hone_status step(machine *m, uint8_t opcode) {
    pickle_value *v = NULL;
    switch (opcode) {
    case 0x80: return with_number(m, 1, skip); /* PROTO */
    case 0x95: return with_number(m, 8, skip); /* FRAME */
    case '(': return push_mark(m);
    case '0': return pop(m, &v);
    case '}': return push_new(m, PICKLE_DICT, &v);
    case ']': return push_new(m, PICKLE_LIST, &v);
    case ')': return push_new(m, PICKLE_TUPLE, &v);
    case 't': return push_marked(m, PICKLE_TUPLE);
    case 'l': return push_marked(m, PICKLE_LIST);
    case 'd': return push_marked(m, PICKLE_DICT);
    case 0x85: return push_tuple(m, 1);
    case 0x86: return push_tuple(m, 2);
    case 0x87: return push_tuple(m, 3);
    case 'a': return fill(m, PICKLE_LIST, 1);
    case 's': return fill(m, PICKLE_DICT, 2);
    case 'e': return fill_marked(m, PICKLE_LIST);
    case 'u': return fill_marked(m, PICKLE_DICT);
    case 'N': return push_new(m, PICKLE_NONE, &v);
    case 0x88: return push_int(m, 1, PICKLE_BOOL);
    case 0x89: return push_int(m, 0, PICKLE_BOOL);
    case 'J': return with_number(m, 4, push_signed32);  /* BININT */
    case 'K': return with_number(m, 1, push_unsigned); /* BININT1 */
    case 'M': return with_number(m, 2, push_unsigned); /* BININT2 */
    case 0x8a: return push_long(m);                    /* LONG1 */
    case 'G': return push_float(m);                    /* BINFLOAT */
    case 'X': return push_text(m, 4);                  /* BINUNICODE */
    case 0x8c: return push_text(m, 1);                 /* SHORT_BINUNICODE */
    case 'T': return push_text(m, 4);                  /* BINSTRING */
    case 'U': return push_text(m, 1);                  /* SHORT_BINSTRING */
    case 'q': return with_number(m, 1, memo_put);      /* BINPUT */
    case 'r': return with_number(m, 4, memo_put);      /* LONG_BINPUT */
    case 'h': return with_number(m, 1, memo_get);      /* BINGET */
    case 'j': return with_number(m, 4, memo_get);      /* LONG_BINGET */
    case 0x94: return memo_put(m, m->n_memoized);      /* MEMOIZE */
    case 'c': return push_global(m);
    case 0x93: return push_stack_global(m);
    case 'R': return reduce(m);
    case 'b': return build(m);
    case 'Q': return push_storage(m); /* BINPERSID */
    default: return fail(HONE_ERR_UNSUPPORTED, "opcode 0x%02x is not allowed", opcode);
    }
}

static hone_status run(machine *m) {
    while (m->at < m->end) {
        uint8_t opcode = *m->at++;
        if (opcode == '.') return pop(m, &m->p->root);
        TRY(step(m, opcode));
    }
    return fail(HONE_ERR_FORMAT, "the pickle ends in the middle");
}

hone_status pickle_parse(pickle **out, const uint8_t *data, size_t n, const char *name) {
    pickle *p = mem_calloc(1, sizeof *p);
    if (!p) return mem_fail("pickle", sizeof *p);
    machine m = {.p = p, .at = data, .end = data + n};
    hone_status status = run(&m);
    mem_free(m.stack);
    mem_free(m.marks);
    mem_free(m.memo);
    if (status != HONE_OK) {
        pickle_close(p);
        return fail_context(status, "%s", name);
    }
    *out = p;
    return HONE_OK;
}

const pickle_value *pickle_root(const pickle *p) { return p->root; }

const pickle_value *pickle_get(const pickle_value *dict, const char *key) {
    if (!dict || dict->kind != PICKLE_DICT) return NULL;
    for (size_t i = 0; i + 1 < dict->list.n; i += 2)
        if (pickle_text_is(dict->list.items[i], key)) return dict->list.items[i + 1];
    return NULL;
}
