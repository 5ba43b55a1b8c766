/* Tests: what stands behind "is". positional[0] is the tested value. */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja_int.h"

static hone_status say(bool answer, value *out) {
    *out = BOOL_VALUE(answer);
    return HONE_OK;
}

#define TYPE_TEST(name, condition)                                               \
    static hone_status test_##name(interp *in, const call_args *args, value *out) { \
        value v = args->positional[0];                                           \
        (void)in;                                                                \
        return say(condition, out);                                              \
    }

TYPE_TEST(defined, v.type != V_UNDEFINED)
TYPE_TEST(undefined, v.type == V_UNDEFINED)
TYPE_TEST(none, v.type == V_NONE)
TYPE_TEST(boolean, v.type == V_BOOL)
TYPE_TEST(true, v.type == V_BOOL && v.boolean)
TYPE_TEST(false, v.type == V_BOOL && !v.boolean)
TYPE_TEST(integer, v.type == V_INT)
TYPE_TEST(float, v.type == V_FLOAT)
TYPE_TEST(number, is_number(v))
TYPE_TEST(string, v.type == V_TEXT)
TYPE_TEST(mapping, v.type == V_DICT)
TYPE_TEST(callable, v.type >= V_MACRO || v.type == V_LOOP || v.type == V_UNDEFINED)
TYPE_TEST(escaped, v.type == V_TEXT && v.text->safe)
TYPE_TEST(sequence, v.type == V_UNDEFINED || (v.type >= V_TEXT && v.type <= V_DICT))
TYPE_TEST(iterable, v.type == V_UNDEFINED || v.type == V_LOOP ||
                        (v.type >= V_TEXT && v.type <= V_GENERATOR))

static hone_status all_in_case(interp *in, const call_args *args, bool upper, value *out) {
    const text *t;
    bool any = false, all = true;
    TRY(to_text(in, args->positional[0], &t));
    TRY(spend(in, t->n / 8));
    for (size_t at = 0, n; at < t->n && all; at += n) {
        utf8proc_int32_t c = (utf8proc_int32_t)char_at(t, at, &n);
        bool is_upper = utf8proc_isupper(c), is_lower = utf8proc_islower(c);
        any |= upper ? is_upper : is_lower;
        all = !(upper ? is_lower : is_upper);
    }
    return say(any && all, out);
}

static hone_status test_upper(interp *in, const call_args *args, value *out) {
    return all_in_case(in, args, true, out);
}

static hone_status test_lower(interp *in, const call_args *args, value *out) {
    return all_in_case(in, args, false, out);
}

static hone_status integer_tested(interp *in, const call_args *args, value *divisor, int64_t *out) {
    value v;
    call_args one = *args;
    (void)in;
    if (divisor) {
        value both[2];
        TRY(ARGS_BIND(args, "divisibleby", 2, both, "value", "num"));
        *divisor = both[1];
        one.n = 1;
        one.n_named = 0;
    }
    TRY(ARGS_BIND(&one, "a test for numbers", 1, &v, "value"));
    return expect_integer(v, "a test for numbers", out);
}

static hone_status test_odd(interp *in, const call_args *args, value *out) {
    int64_t i;
    TRY(integer_tested(in, args, NULL, &i));
    return say(i % 2 != 0, out);
}

static hone_status test_even(interp *in, const call_args *args, value *out) {
    int64_t i;
    TRY(integer_tested(in, args, NULL, &i));
    return say(i % 2 == 0, out);
}

static hone_status test_divisibleby(interp *in, const call_args *args, value *out) {
    int64_t i, by;
    value divisor;
    TRY(integer_tested(in, args, &divisor, &i));
    TRY(expect_integer(divisor, "divisibleby", &by));
    if (by == 0) return misuse("divisibleby zero");
    return say(by == -1 || i % by == 0, out);
}

static hone_status two(const call_args *args, value *both) {
    return ARGS_BIND(args, "a comparing test", 2, both, "value", "other");
}

static hone_status test_eq(interp *in, const call_args *args, value *out) {
    value v[2];
    bool equal;
    TRY(two(args, v));
    TRY(values_equal(in, v[0], v[1], &equal));
    return say(equal, out);
}

static hone_status test_ne(interp *in, const call_args *args, value *out) {
    TRY(test_eq(in, args, out));
    return say(!out->boolean, out);
}

static hone_status ordered(interp *in, const call_args *args, int *order) {
    value v[2];
    TRY(two(args, v));
    return values_order(in, v[0], v[1], order);
}

static hone_status test_lt(interp *in, const call_args *args, value *out) {
    int order;
    TRY(ordered(in, args, &order));
    return say(order == -1, out);
}

static hone_status test_le(interp *in, const call_args *args, value *out) {
    int order;
    TRY(ordered(in, args, &order));
    return say(order <= 0, out);
}

static hone_status test_gt(interp *in, const call_args *args, value *out) {
    int order;
    TRY(ordered(in, args, &order));
    return say(order == 1, out);
}

static hone_status test_ge(interp *in, const call_args *args, value *out) {
    int order;
    TRY(ordered(in, args, &order));
    return say(order == 0 || order == 1, out);
}

static hone_status test_in(interp *in, const call_args *args, value *out) {
    value v[2];
    bool inside;
    TRY(two(args, v));
    TRY(value_contains(in, v[1], v[0], &inside));
    return say(inside, out);
}

/* Identity: the same object, or equal values of the types that have only one of each. */
static hone_status test_sameas(interp *in, const call_args *args, value *out) {
    value v[2];
    bool same;
    TRY(two(args, v));
    if (v[0].type != v[1].type) return say(false, out);
    if (v[0].type >= V_LIST) return say(v[0].loop == v[1].loop, out);
    TRY(values_equal(in, v[0], v[1], &same));
    return say(same, out);
}

static hone_status name_known(const call_args *args, const builtin *(*find)(const char *),
                              value *out) {
    char word[32] = {0};
    value v = args->positional[0];
    if (v.type != V_TEXT || v.text->n >= sizeof word) return say(false, out);
    memcpy(word, v.text->bytes, v.text->n);
    return say(find(word) != NULL, out);
}

static hone_status test_filter(interp *in, const call_args *args, value *out) {
    (void)in;
    return name_known(args, filter_find, out);
}

static hone_status test_test(interp *in, const call_args *args, value *out) {
    (void)in;
    return name_known(args, test_find, out);
}

static const builtin tests[] = {
    {"boolean", test_boolean},   {"callable", test_callable}, {"defined", test_defined},
    {"divisibleby", test_divisibleby}, {"eq", test_eq},       {"equalto", test_eq},
    {"==", test_eq},             {"escaped", test_escaped},   {"even", test_even},
    {"false", test_false},       {"filter", test_filter},     {"float", test_float},
    {"ge", test_ge},             {">=", test_ge},             {"gt", test_gt},
    {"greaterthan", test_gt},    {">", test_gt},              {"in", test_in},
    {"integer", test_integer},   {"iterable", test_iterable}, {"le", test_le},
    {"<=", test_le},             {"lower", test_lower},       {"lt", test_lt},
    {"lessthan", test_lt},       {"<", test_lt},              {"mapping", test_mapping},
    {"ne", test_ne},             {"!=", test_ne},             {"none", test_none},
    {"number", test_number},     {"odd", test_odd},           {"sameas", test_sameas},
    {"sequence", test_sequence}, {"string", test_string},     {"test", test_test},
    {"true", test_true},         {"undefined", test_undefined}, {"upper", test_upper},
    {NULL, NULL},
};

const builtin *test_find(const char *name) { return builtin_find(tests, name); }
