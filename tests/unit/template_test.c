#include "text/template.h"

#include <jansson.h>

#include "base/mem.h"
#include "test.h"

static const struct tm clock_now = {.tm_year = 126, .tm_mday = 2, .tm_hour = 3, .tm_min = 4,
                                    .tm_sec = 5, .tm_wday = 5, .tm_yday = 1};

/* ---- tools ---- */

static hone_status render(const char *source, const char *variables, template_output *out) {
    chat_template *t = NULL;
    json_t *v = json_loads(variables, 0, NULL);
    hone_status status = v ? chat_template_open(&t, source, strlen(source)) : HONE_ERR_ARGUMENT;
    if (status == HONE_OK) status = chat_template_render(t, v, &clock_now, out);
    chat_template_close(t);
    json_decref(v);
    return status;
}

static void expect(const char *source, const char *variables, const char *text) {
    template_output out = {0};
    if (!CHECK_OK(render(source, variables, &out))) {
        printf("  in %s\n", source);
        return;
    }
    CHECK_MSG(strcmp(out.text, text) == 0, "%s gives \"%s\", expected \"%s\"", source, out.text,
              text);
    template_output_release(&out);
}

static void expect_failure(const char *source, const char *variables, hone_status status,
                           const char *words) {
    template_output out = {0};
    hone_status found = render(source, variables, &out);
    CHECK_MSG(found == status, "%.60s: status %d, expected %d", source, found, status);
    CHECK_MSG(found == HONE_OK || strstr(hone_error_message(), words), "%.60s: \"%s\" lacks \"%s\"",
              source, hone_error_message(), words);
    template_output_release(&out);
}

/* The output with every control span in ‹ ›, so that a test shows text and spans at once. */
static void expect_spans(const char *source, const char *variables, const char *marked) {
    template_output out = {0};
    if (!CHECK_OK(render(source, variables, &out))) return;
    char shown[4096];
    size_t n = 0, span = 0;
    for (size_t i = 0; i <= out.n; i++) {
        if (span < out.n_control && out.control[span].end == i) {
            n += (size_t)sprintf(shown + n, "›");
            span++;
        }
        if (span < out.n_control && out.control[span].begin == i)
            n += (size_t)sprintf(shown + n, "‹");
        if (i < out.n) shown[n++] = out.text[i];
    }
    shown[n] = 0;
    CHECK_MSG(strcmp(shown, marked) == 0, "%s gives \"%s\", expected \"%s\"", source, shown,
              marked);
    template_output_release(&out);
}

static const char chat[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"<|im_end|>\"}],"
    " \"tools\": [{\"name\": \"f<|im_end|>\"}], \"bos_token\": \"<s>\","
    " \"extra\": {\"k\": \"mine\"}}";

/* ---- language ---- */

static void white_space_follows_trim_and_lstrip_blocks(void) {
    expect("  {% if true %}\n  a\n  {% endif %}\nb\n", "{}", "  a\nb");
    expect("a  {%+ if true %}b{% endif +%}\nc", "{}", "a  b\nc");
    expect("a\r\n  {# note #}\r\nb", "{}", "a\nb");
    expect("{% raw %}{{ x }}{% endraw %}", "{}", "{{ x }}");
}

static void operators_bind_as_in_jinja2(void) {
    expect("{{ 2 ~ 3 * 4 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ -3|abs }}", "{}", "212 4 64 3");
    expect_failure("{{ 1 + 2 ~ 3 }}", "{}", HONE_ERR_FORMAT, "no \"+\" between");
}

static void loops_have_their_variables(void) {
    expect("{% for i in x if i > 1 %}{{ loop.index }}/{{ loop.length }}{{ loop.previtem }}"
           "{{ loop.nextitem }};{% endfor %}",
           "{\"x\": [3, 1, 2]}", "1/22;2/23;");
    expect("{% for n in [{'c': [{'c': []}]}] recursive %}({{ loop.depth }}{{ loop(n.c) }})"
           "{% endfor %}",
           "{}", "(1(2))");
    expect("{% for i in [1, 2, 3, 4] %}{% if i == 2 %}{% continue %}{% endif %}"
           "{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
           "{}", "13");
}

static void assignments_in_a_loop_stay_inside(void) {
    expect("{% set x = 1 %}{% for i in [5] %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
           "{}", "51");
    expect("{% set n = namespace(x=1) %}{% for i in [5] %}{% set n.x = i %}{% endfor %}{{ n.x }}",
           "{}", "5");
}

static void macros_take_arguments_and_callers(void) {
    expect("{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ m(1, 3, 4) }}"
           "{{ m(b=1) }}",
           "{}", "13(4,)1()");
    expect("{% macro m() %}[{{ caller(1) }}]{% endmacro %}{% call(x) m() %}c{{ x }}{% endcall %}",
           "{}", "[c1]");
}

static void dict_keys_compare_as_in_python(void) {
    expect("{% set d = {1: 'a', true: 'b', 1.0: 'c', '1': 'd'} %}{{ d }}{{ d[1] }}", "{}",
           "{1: 'c', '1': 'd'}c");
}

static void a_dict_with_many_keys_keeps_order_and_finds_all(void) {
    expect("{% set d = {} %}{% for i in range(500) %}{% set _ = d.update({i: i * 2}) %}{% endfor %}"
           "{% set _ = d.pop(7) %}{{ d|length }} {{ d[499] }} {{ 7 in d }} {{ d[8] }} "
           "{{ (d|list)[7] }}",
           "{}", "499 998 False 16 8");
}

static void floats_print_as_in_python(void) {
    expect("{{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e15 }} {{ 1e-5 }} {{ 0.0001 }} {{ 4 / 2 }} {{ 1e22 }}",
           "{}",
           "0.30000000000000004 1e+16 1000000000000000.0 1e-05 0.0001 2.0 1e+22");
}

static void undefined_prints_nothing_but_cannot_be_used(void) {
    expect("[{{ x }}{{ x ~ 'a' }}{{ x|default('d') }}{% for i in x %}{% endfor %}]", "{}", "[ad]");
    expect_failure("{{ x.y }}", "{}", HONE_ERR_FORMAT, "'x' is undefined");
    expect_failure("{{ 'a' + x }}", "{}", HONE_ERR_FORMAT, "'x' is undefined");
    expect_failure("{{ x() }}", "{}", HONE_ERR_FORMAT, "'x' is undefined");
    expect_failure("{{ x|tojson }}", "{}", HONE_ERR_FORMAT, "undefined");
}

static void the_clock_is_the_callers(void) {
    expect("{{ strftime_now('%d %b %Y') }}|{{ strftime_now('') }}|{{ strftime_now('%H:%M:%S') }}",
           "{}",
           "02 Jan 2026||03:04:05");
}

static void generators_are_true_and_good_for_one_iteration(void) {
    expect("{% set g = [1, 2]|select('gt', 5) %}{{ 'true' if g }}{% set h = [1]|map('string') %}"
           "{{ h|join }}{{ h|join }}",
           "{}", "true1");
    expect_failure("{{ [1]|map('string')|tojson }}", "{}", HONE_ERR_FORMAT, "generator");
}

static void recorded_renders_pass(void) {
    if (!test_shared()) SKIP("no reference data beside the checkout");
    char command[4096];
    snprintf(command, sizeof command, "%s/data/vectors/jinja_cases.jsonl", test_shared());
    json_error_t error;
    FILE *f = fopen(command, "r");
    if (!f) SKIP("no recorded template cases");
    int rows = 0;
    for (json_t *row; (row = json_loadf(f, JSON_DISABLE_EOF_CHECK, &error)); json_decref(row)) {
        char *variables = json_dumps(json_object_get(row, "vars"), 0);
        expect(json_string_value(json_object_get(row, "template")), variables,
               json_string_value(json_object_get(row, "expect")));
        free(variables);
        rows++;
    }
    fclose(f);
    CHECK_MSG(rows == 278, "%d rows", rows);
}

/* ---- errors ---- */

static void errors_name_the_line(void) {
    expect_failure("a\nb\n{{ 1 + }}",
                   "{}", HONE_ERR_FORMAT, "template line 3: expected an expression");
    expect_failure("a\n\n{{ 1 + 'x' }}",
                   "{}", HONE_ERR_FORMAT, "template line 3: no \"+\" between");
    expect_failure("\n{% if true %}", "{}", HONE_ERR_FORMAT, "template line 2: no \"endif\"");
    expect_failure("{{ 'a", "{}", HONE_ERR_FORMAT, "line 1: string without closing quote");
    expect_failure("{{ 1", "{}", HONE_ERR_FORMAT, "line 1: \"{{\" without \"}}\"");
    expect_failure("{# a", "{}", HONE_ERR_FORMAT, "line 1: comment without end");
    expect_failure("{% break %}", "{}", HONE_ERR_FORMAT, "outside of a loop");
}

static void a_template_that_raises_fails_in_its_own_words(void) {
    expect_failure("\n{{ raise_exception('roles must alternate') }}", "{}", HONE_ERR_FORMAT,
                   "template line 2: roles must alternate");
}

static void what_hone_lacks_is_named(void) {
    expect_failure("{{ 1|urlize }}", "{}", HONE_ERR_UNSUPPORTED, "no filter named \"urlize\"");
    expect_failure("{{ 1 is odder }}", "{}", HONE_ERR_UNSUPPORTED, "no test named \"odder\"");
    expect_failure("{% include 'x' %}", "{}", HONE_ERR_UNSUPPORTED, "no tag named \"include\"");
    expect_failure("{{ 'a'.encode() }}", "{}", HONE_ERR_UNSUPPORTED, "method \"encode\"");
    expect("{% if false %}{{ 1|urlize }}{% endif %}ok", "{}", "ok"); /* as jinja2: when reached */
}

/* ---- who wrote what ---- */

static void users_text_is_never_control(void) {
    expect_spans("<|im_start|>{{ messages[0].content }}<|im_end|>", chat,
                 "‹<|im_start|>›<|im_end|>‹<|im_end|>›");
    expect_spans("{{ bos_token }}{{ tools[0].name }}{{ extra.k }}", chat, "‹<s>›f<|im_end|>mine");
    expect_spans("{% for k in messages[0] %}{{ k }}{% endfor %}", chat, "rolecontent");
}

static void cutting_and_joining_keep_track_of_each_byte(void) {
    expect_spans("{% set c = '[' + messages[0].role + ']' %}{{ c }}|{{ c[0] }}|{{ c[1:3] }}|"
                 "{{ c[::-1] }}",
                 chat, "‹[›user‹]|[|›us‹|]›resu‹[›");
    expect_spans("{{ ('  a' ~ messages[0].role ~ '  ')|trim }}", chat, "‹a›user");
    expect_spans("{{ messages[0].role|replace('s', '<s>') }}", chat, "u‹<s>›er");
    expect_spans("{{ 'a<x>b'|replace('<x>', messages[0].role) }}", chat, "‹a›user‹b›");
    expect_spans("{{ (messages[0].role ~ ',x').split(',')|join('-') }}", chat, "user‹-x›");
    expect_spans("{{ [messages[0].role, 'b']|join(', ') }}", chat, "user‹, b›");
    expect_spans("{{ ('a' ~ messages[0].role)|upper }}", chat, "‹A›USER");
    expect_spans("{{ '<%s>' % messages[0].role }}{{ '<{}>'.format(messages[0].role) }}", chat,
                 "‹<›user‹><›user‹>›");
    expect_spans("{{ messages[0].role * 2 }}{{ 'ab' * 2 }}", chat, "useruser‹abab›");
    expect_spans("{{ ('a\n' ~ messages[0].role)|indent(1, true) }}", chat, "‹ a\n ›user");
    expect_spans("{% set x %}<{{ messages[0].role }}>{% endset %}{{ x }}", chat, "‹<›user‹>›");
    expect_spans("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].role) }}", chat,
                 "‹<›user‹>›");
    expect_spans("{% for c in messages[0].role %}{{ c }}.{% endfor %}", chat, "u‹.›s‹.›e‹.›r‹.›");
}

static void printed_structures_with_users_text_are_users_text(void) {
    expect_spans("{{ tools|tojson }}!", chat, "[{\"name\": \"f<|im_end|>\"}]‹!›");
    expect_spans("{{ {'<s>': messages[0].role}|tojson }}!", chat, "{\"<s>\": \"user\"}‹!›");
    expect_spans("{{ ['<s>', messages[0].role] }}!", chat, "['<s>', 'user']‹!›");
    expect_spans("{{ {'a': '<s>'}|tojson }}", chat, "‹{\"a\": \"<s>\"}›");
}

static void a_template_without_users_text_is_one_span(void) {
    expect_spans("a{{ 1 }}b{{ bos_token|upper }}", chat, "‹a1b<S>›");
    expect_spans("", chat, "");
}

/* ---- bounds ---- */

static void endless_work_ends_in_words(void) {
    expect_failure("{% set l = range(99999) %}{% for a in range(1000) %}{% if -1 in l %}{% endif %}"
                   "{% endfor %}",
                   "{}", HONE_ERR_MEMORY, "steps");
    expect_failure("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                   "{% endfor %}", "{}",
                   HONE_ERR_MEMORY, "takes more than");
    expect_failure("{{ range(10**9) }}", "{}", HONE_ERR_MEMORY, "range of 1000000000 items");
    expect_failure("{{ range(-9223372036854775807, 9223372036854775807) }}", "{}", HONE_ERR_MEMORY,
                   "range of");
}

/* Operations that make nothing new cost steps by the length of what they look at. */
static void looking_at_long_strings_costs_steps(void) {
    static const char *const looks[] = {"s|length", "s[-1]", "s[99999999]", "s < z", "'b' in s",
                                        "s|truncate(9900000)", "s.find('b')", "s == z",
                                        "s is upper", "s.isascii()", "s.count('b')", "{s: 1}"};
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        char source[300];
        snprintf(source, sizeof source,
                 "{%% set s = 'a' * 9000000 %%}{%% set z = s ~ 'z' %%}{%% for i in range(100000) %%}"
                 "{%% set _ = %s %%}{%% endfor %%}",
                 looks[i]);
        expect_failure(source, "{}", HONE_ERR_MEMORY, "steps");
    }
}

static void long_strings_end_in_words(void) {
    expect_failure("{{ 'a' * 10**9 }}", "{}", HONE_ERR_MEMORY, "repeats a string");
    expect_failure("{% set n = namespace(s='ab') %}{% for i in range(64) %}"
                   "{% set n.s = n.s + n.s %}{% endfor %}",
                   "{}", HONE_ERR_MEMORY, "longer than");
    expect_failure("{% set s = 'a' * 1000000 %}{% for i in range(99) %}{{ s }}{% endfor %}", "{}",
                   HONE_ERR_MEMORY, "longer than");
    expect_failure("{{ 'x'.center(10**15) }}", "{}", HONE_ERR_MEMORY, "repeats a string");
    expect_failure("{{ '%*d' % (10**9, 1) }}", "{}", HONE_ERR_MEMORY, "format wider");
    expect_failure("{{ '{:999999999}'.format(1) }}", "{}", HONE_ERR_MEMORY, "format wider");
    expect_failure("{{ [1]|tojson(indent=10**9) }}", "{}", HONE_ERR_MEMORY, "repeats a string");
}

static void much_memory_ends_in_words(void) {
    expect_failure("{% set l = [] %}{% for a in range(300) %}"
                   "{% set _ = l.append(('x' * 1000) * 1000) %}"
                   "{% endfor %}",
                   "{}", HONE_ERR_MEMORY, "memory");
}

static void deep_recursion_ends_in_words(void) {
    expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                   "{}", HONE_ERR_MEMORY, "nested deeper");
    expect_failure("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
                   "{}", HONE_ERR_MEMORY, "nested deeper");
    expect_failure("{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}", "{}", HONE_ERR_MEMORY,
                   "nested deeper");
    expect_failure("{% set l = [] %}{% set m = [l] %}{% set _ = l.append(m) %}{{ l == m }}", "{}",
                   HONE_ERR_MEMORY, "nested deeper");
    expect_failure("{% set n = namespace(t=(1,)) %}{% for i in range(1000) %}{% set n.t = (n.t,) %}"
                   "{% endfor %}{{ {n.t: 1} }}",
                   "{}", HONE_ERR_MEMORY, "nested deeper");
}

static void deep_templates_end_in_words(void) {
    static const char *const nests[][2] = {
        {"(", ")"}, {"[", "]"}, {"{1:", "}"}, {"-", ""}, {"not ", ""}, {"x[", "]"}, {"x(", ")"}};
    for (size_t k = 0; k < sizeof nests / sizeof *nests; k++) {
        char deep[4000] = "{{ ";
        for (int i = 0; i < 500; i++) strcat(deep, nests[k][0]);
        strcat(deep, "1");
        for (int i = 0; i < 500; i++) strcat(deep, nests[k][1]);
        strcat(deep, " }}");
        expect_failure(deep, "{}", HONE_ERR_FORMAT, "nested deeper");
    }
    char *tags = calloc(1, 20000);
    for (int i = 0; i < 500; i++) strcat(tags, "{% if 1 %}");
    expect_failure(tags, "{}", HONE_ERR_FORMAT, "nested deeper");
    strcpy(tags, "{{ 1");
    for (int i = 0; i < 3000; i++) strcat(tags, "|abs");
    strcat(tags, " }}");
    expect_failure(tags, "{}", HONE_ERR_MEMORY, "nested deeper");
    free(tags);
}

static void deep_data_ends_in_words(void) {
    char deep[5000] = "{\"messages\": ";
    for (int i = 0; i < 1500; i++) strcat(deep, "[");
    for (int i = 0; i < 1500; i++) strcat(deep, "]");
    strcat(deep, "}");
    expect_failure("{{ messages }}", deep, HONE_ERR_MEMORY, "nested deeper");
}

static void integers_do_not_wrap(void) {
    expect_failure("{{ 9223372036854775807 + 1 }}", "{}", HONE_ERR_FORMAT, "64 bits");
    expect_failure("{{ 2 ** 64 }}", "{}", HONE_ERR_FORMAT, "64 bits");
    expect_failure("{{ 3037000500 * 3037000500 }}", "{}", HONE_ERR_FORMAT, "64 bits");
    expect_failure("{{ (-9223372036854775807 - 1)|abs }}", "{}", HONE_ERR_FORMAT, "64 bits");
    expect_failure("{{ (-9223372036854775807 - 1) // -1 }}", "{}", HONE_ERR_FORMAT, "64 bits");
    expect_failure("{{ 99999999999999999999 }}", "{}", HONE_ERR_FORMAT, "too large");
    expect("{{ (-9223372036854775807 - 1) % -1 }} {{ 1e300|int(5) }}", "{}", "0 5");
    expect("{{ 'abc'[9223372036854775807:] }}{{ 'abc'[::9223372036854775807] }}"
           "{{ 'abc'[::-9223372036854775807] }}",
           "{}", "ac");
}

/* ---- memory ---- */

static void every_failing_allocation_is_handled(void) {
    static const char source[] =
        "{% macro m(x) %}<{{ x|upper }}>{% endmacro %}{% for t in messages %}"
        "{{ m(t.content) }}{{ t|tojson(indent=2) }}{% endfor %}{{ [3, 1]|sort|join(',') }}"
        "{{ 'x' * 50000 }}{{ '%5s' % bos_token }}{% set d = {'a': 1} %}{{ d.items()|list }}";
    json_t *variables = json_loads(chat, 0, NULL);
    bool done = false;
    int failed = 0;
    for (long n = 1; !done && n < 10000; n++) {
        chat_template *t = NULL;
        template_output out = {0};
        mem_fail_from(n);
        hone_status status = chat_template_open(&t, source, strlen(source));
        if (status == HONE_OK) status = chat_template_render(t, variables, &clock_now, &out);
        mem_fail_from(0);
        done = status == HONE_OK;
        failed += status == HONE_ERR_MEMORY;
        CHECK_MSG(done || status == HONE_ERR_MEMORY, "allocation %ld: status %d", n, status);
        CHECK(done || (!out.text && !out.control));
        template_output_release(&out);
        chat_template_close(t);
    }
    json_decref(variables);
    CHECK(done && failed > 4);
}

int main(void) {
    RUN(white_space_follows_trim_and_lstrip_blocks);
    RUN(operators_bind_as_in_jinja2);
    RUN(loops_have_their_variables);
    RUN(assignments_in_a_loop_stay_inside);
    RUN(macros_take_arguments_and_callers);
    RUN(dict_keys_compare_as_in_python);
    RUN(a_dict_with_many_keys_keeps_order_and_finds_all);
    RUN(floats_print_as_in_python);
    RUN(undefined_prints_nothing_but_cannot_be_used);
    RUN(the_clock_is_the_callers);
    RUN(generators_are_true_and_good_for_one_iteration);
    RUN(recorded_renders_pass);
    RUN(errors_name_the_line);
    RUN(a_template_that_raises_fails_in_its_own_words);
    RUN(what_hone_lacks_is_named);
    RUN(users_text_is_never_control);
    RUN(cutting_and_joining_keep_track_of_each_byte);
    RUN(printed_structures_with_users_text_are_users_text);
    RUN(a_template_without_users_text_is_one_span);
    RUN(endless_work_ends_in_words);
    RUN(looking_at_long_strings_costs_steps);
    RUN(long_strings_end_in_words);
    RUN(much_memory_ends_in_words);
    RUN(deep_recursion_ends_in_words);
    RUN(deep_templates_end_in_words);
    RUN(deep_data_ends_in_words);
    RUN(integers_do_not_wrap);
    RUN(every_failing_allocation_is_handled);
    return test_summary();
}
