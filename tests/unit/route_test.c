/* Choosing a model for a prompt: its kind, hand-written rules, measured rows, defaults. */
#include "base/mem.h"
#include "route/route.h"
#include "store_world.h"

/* The prompts of a file of src/route/kinds that are put into their kind. */
static void count_right(const char *path, size_t *n_right, size_t *n) {
    buf text;
    buf_init(&text, 1 << 20);
    *n_right = *n = 0;
    if (!CHECK_OK(fs_read_file(&text, path))) return;
    prompt_kind kind = KIND_REASONING;
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        size_t length = strlen(line);
        if (*line == '#') continue;
        if (*line == '[') {
            line[length - 1] = 0;
            CHECK_MSG(kind_find(line + 1, &kind), "%s", line);
            continue;
        }
        for (char *at; (at = strstr(line, "\\n"));) {
            *at = '\n';
            memmove(at + 1, at + 2, strlen(at + 2) + 1);
        }
        *n_right += kind_of(line, strlen(line)).kind == kind;
        *n += 1;
    }
    buf_release(&text);
}

static void prompts_held_out_from_learning_are_as_often_right_as_is_said(void) {
    size_t n_right, n, right_said, n_said;
    estimate said = kind_accuracy(&right_said, &n_said);
    count_right("src/route/kinds/held_out.txt", &n_right, &n);
    CHECK_MSG(n == n_said && n_right == right_said, "%zu of %zu, said %zu of %zu", n_right, n,
              right_said, n_said);
    CHECK(n >= 150 && said.low > 0.75 && said.high < 1);
}

static void a_guess_has_probabilities_and_signs(void) {
    static const char prompt[] = "Please translate this letter into French";
    kind_guess g = kind_of(prompt, sizeof prompt - 1);
    double sum = 0;
    for (int k = 0; k < N_KINDS; k++) sum += g.probabilities[k];
    CHECK(g.kind == KIND_MULTILINGUAL);
    CHECK_NEAR(sum, 1, 1e-12);
    CHECK(g.n_signs >= 2 && g.n_signs <= KIND_MAX_SIGNS);
    for (size_t i = 0; i < g.n_signs; i++) CHECK(g.signs[i].weight > 0 && *g.signs[i].feature);
    for (size_t i = 1; i < g.n_signs; i++) CHECK(g.signs[i - 1].weight >= g.signs[i].weight);
}

static void any_bytes_have_a_kind(void) {
    char bytes[3 * KIND_MAX_BYTES];
    CHECK(kind_of("", 0).n_signs == 0);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7919 >> 3);
    CHECK(kind_of(bytes, sizeof bytes).n_signs <= KIND_MAX_SIGNS);
    memset(bytes, 'a', sizeof bytes);
    CHECK(kind_of(bytes, sizeof bytes).n_signs <= KIND_MAX_SIGNS);
    for (size_t i = 0; i + 1 < sizeof bytes; i += 2) memcpy(bytes + i, "é", 2);
    CHECK(kind_of(bytes, sizeof bytes).kind == KIND_MULTILINGUAL);
}

/* --- rules --- */

static hone_status parse(route_rules *r, const char *text) {
    return route_rules_parse(r, text, strlen(text), "rules");
}

static void a_rule_says_what_it_is_for_and_nothing_else_is_decided(void) {
    route_rules r = {.n = 0};
    CHECK_OK(parse(&r,
                   "{\"rules\": [{\"kinds\": [\"code\", \"image\"], \"priorities\": [\"speed\"], "
                   "\"model\": \"a:1\", \"settings\": {\"top_p\": 0.5}}, {}]}"));
    if (r.n != 2) return;
    CHECK(route_rule_fits(&r.rules[0], KIND_CODE, ROUTE_SPEED));
    CHECK(route_rule_fits(&r.rules[0], KIND_IMAGE, ROUTE_SPEED));
    CHECK(!route_rule_fits(&r.rules[0], KIND_CODE, ROUTE_QUALITY));
    CHECK(!route_rule_fits(&r.rules[0], KIND_KNOWLEDGE, ROUTE_SPEED));
    CHECK(r.rules[0].settings.top_p == 0.5 && isnan(r.rules[0].settings.temperature));
    CHECK(!r.rules[0].strategy && !r.rules[0].system && r.rules[0].settings.max_tokens == 0);
    for (int k = 0; k < N_KINDS; k++)
        CHECK(route_rule_fits(&r.rules[1], (prompt_kind)k, ROUTE_BALANCED) && !r.rules[1].model);
    route_rules_release(&r);
}

static void rules_of_another_form_are_refused(void) {
    static const char *const bad[] = {
        "[]", "{}", "{\"rules\": {}}", "{\"rules\": [], \"more\": 1}", "{\"rules\": [[]]}",
        "{\"rules\": [{\"kinds\": \"code\"}]}", "{\"rules\": [{\"kinds\": [3]}]}",
        "{\"rules\": [{\"model\": \"\"}]}", "{\"rules\": [{\"model\": 3}]}",
        "{\"rules\": [{\"settings\": []}]}", "{\"rules\": [{\"settings\": {\"top_p\": 2}}]}"};
    route_rules r = {.n = 0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(parse(&r, bad[i]) == HONE_ERR_FORMAT && !r.root, "%s", bad[i]);
}

/* --- measured rows --- */

/* Three names for one small file, whose sizes say nothing; what is measured of them is made up. */
static bool open_world(store **s, results **r) {
    static const char form[] = "{\"format\": 1, \"name\": \"tale:%d\", \"files\": [{\"role\": "
                                   "\"model\", \"name\": \"a.gguf\", \"bytes\": %ld, \"path\": \"%s\"}]}";
    char path[1024], real[4096], text[8192];
    snprintf(path, sizeof path, "%s/models/stories260K.gguf", test_shared());
    struct stat st;
    if (!realpath(path, real) || stat(real, &st)) return false;
    world_new_home();
    for (int i = 1; i <= 3; i++) {
        char below[64];
        snprintf(text, sizeof text, form, i, (long)st.st_size, real);
        snprintf(below, sizeof below, "models/tale/%d.json", i);
        world_write(below, text);
    }
    return CHECK_OK(store_open(s, NULL)) && CHECK_OK(results_open(r, NULL));
}

/* A valid result about a model: accuracy on logic (kind eval), or tokens/s (kind bench). */
static void add(results *r, int model, result_kind kind, double value, double half,
                const char *strategy, const char *items) {
    char name[16];
    int64_t id;
    snprintf(name, sizeof name, "tale:%d", model);
    const result_subject subject = {.role = "model", .name = name};
    json_t *settings = json_pack("{s:i, s:i, s:s?}", "limit", 0, "seed", 1, "strategy", strategy);
    const result_start start = {.kind = kind, .subjects = &subject, .n_subjects = 1,
                                .settings = settings};
    const bool eval = kind == RESULT_EVAL;
    const result_metric m = {.name = eval ? "accuracy" : "decode",
                             .condition = eval ? "task=logic" : "depth=0",
                             .unit = eval ? "share" : "tokens/s", .value = value, .low = value - half,
                             .high = value + half, .n = 100, .better = 1, .items_hash = items};
    CHECK_OK(results_begin(r, &start, &id));
    CHECK_OK(results_add_metrics(r, id, &m, 1));
    CHECK_OK(results_finish(r, id, NULL, NULL));
    json_decref(settings);
}

/* tale:1 is best and slow, tale:2 hardly worse and faster, tale:3 worse and fastest. */
static void measure_three(results *r) {
    static const double accuracy[] = {0.80, 0.75, 0.60}, speed[] = {10, 20, 40};
    for (int i = 0; i < 3; i++) {
        add(r, i + 1, RESULT_EVAL, accuracy[i], 0.05, NULL, "all");
        add(r, i + 1, RESULT_BENCH, speed[i], 1, NULL, NULL);
    }
}

#define PUZZLE "If A implies B and B is false, what follows about A?"

/* Chooses for PUZZLE and releases; true where it took that model by that basis. */
static bool chooses(store *s, results *r, const route_rules *rules, route_priority priority,
                    const char *model, route_basis basis, const char *strategy) {
    route_choice c;
    const route_request request = {.prompt = PUZZLE, .n = strlen(PUZZLE), .priority = priority,
                                   .store = s, .results = r, .rules = rules};
    bool right = CHECK_OK(route_choose(&c, &request)) && c.guess.kind == KIND_REASONING &&
                 !strcmp(c.model, model) && c.basis == basis &&
                 (strategy ? c.strategy && !strcmp(c.strategy, strategy) : !c.strategy);
    if (!right)
        for (size_t i = 0; i < c.n_reasons; i++) printf("  %s\n", c.reasons[i]);
    route_choice_release(&c);
    return right;
}

static void each_priority_takes_its_own_of_measured_models(void) {
    store *s;
    results *r;
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    measure_three(r);
    CHECK(chooses(s, r, NULL, ROUTE_QUALITY, "tale:1", ROUTE_BY_MEASUREMENT, NULL));
    CHECK(chooses(s, r, NULL, ROUTE_BALANCED, "tale:2", ROUTE_BY_MEASUREMENT, NULL));
    CHECK(chooses(s, r, NULL, ROUTE_SPEED, "tale:3", ROUTE_BY_MEASUREMENT, NULL));
    results_close(r);
    store_close(s);
}

static void other_items_are_not_compared_and_a_single_row_decides_nothing(void) {
    store *s;
    results *r;
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    add(r, 3, RESULT_EVAL, 0.9, 0.05, NULL, "some");
    CHECK(chooses(s, r, NULL, ROUTE_QUALITY, "tale:1", ROUTE_BY_DEFAULT, NULL));
    add(r, 1, RESULT_EVAL, 0.2, 0.05, NULL, "all");
    add(r, 2, RESULT_EVAL, 0.4, 0.05, NULL, "all");
    CHECK(chooses(s, r, NULL, ROUTE_QUALITY, "tale:2", ROUTE_BY_MEASUREMENT, NULL));
    add(r, 1, RESULT_EVAL, 0.7, 0.05, NULL, "all"); /* the newer one counts */
    CHECK(chooses(s, r, NULL, ROUTE_QUALITY, "tale:1", ROUTE_BY_MEASUREMENT, NULL));
    results_close(r);
    store_close(s);
}

static void a_strategy_is_taken_where_it_is_better_beyond_the_intervals(void) {
    store *s;
    results *r;
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    measure_three(r);
    add(r, 1, RESULT_EVAL, 0.84, 0.05, "re2", "all");
    CHECK(chooses(s, r, NULL, ROUTE_QUALITY, "tale:1", ROUTE_BY_MEASUREMENT, NULL));
    add(r, 1, RESULT_EVAL, 0.92, 0.05, "sc8", "all");
    CHECK(chooses(s, r, NULL, ROUTE_QUALITY, "tale:1", ROUTE_BY_MEASUREMENT, "sc8"));
    CHECK(chooses(s, r, NULL, ROUTE_SPEED, "tale:3", ROUTE_BY_MEASUREMENT, NULL));
    results_close(r);
    store_close(s);
}

static void rules_come_before_measured_rows(void) {
    store *s;
    results *r;
    route_rules rules = {.n = 0};
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    measure_three(r);
    CHECK_OK(parse(&rules, "{\"rules\": [{\"model\": \"nobody:1\"}, {\"priorities\": [\"speed\"], "
                           "\"strategy\": \"re2\"}, {\"model\": \"tale:3\"}]}"));
    CHECK(chooses(s, r, &rules, ROUTE_QUALITY, "tale:3", ROUTE_BY_RULE, NULL));
    CHECK(chooses(s, r, &rules, ROUTE_SPEED, "tale:3", ROUTE_BY_MEASUREMENT, "re2"));
    route_rules_release(&rules);
    results_close(r);
    store_close(s);
}

/* --- what a server has loaded --- */

static const route_loaded *only_one_is_loaded(void *user, const char *name) {
    static const route_loaded one = {.name = "tale:1", .quantisation = "F32", .takes_text = true};
    (void)user;
    return !strcmp(name, one.name) ? &one : NULL;
}

static void of_models_that_will_do_the_loaded_one_is_the_faster(void) {
    store *s;
    results *r;
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    measure_three(r);
    static const char *const gone[] = {"tale:1"};
    const struct {
        route_priority priority;
        size_t n_without;
        uint64_t memory;
        const char *model;
        bool fallback;
    } cases[] = {{ROUTE_BALANCED, 0, 0, "tale:1", false}, /* else tale:2 */
                 {ROUTE_SPEED, 0, 0, "tale:1", false},    /* else tale:3 */
                 {ROUTE_QUALITY, 1, 0, "tale:2", true},   /* what could not be had is not tried again */
                 {ROUTE_QUALITY, 0, 1, "tale:1", false},  /* it is there, whatever memory is left */
                 {ROUTE_QUALITY, 1, 1, NULL, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        route_choice c;
        const route_request request = {.prompt = PUZZLE, .n = strlen(PUZZLE), .store = s, .results = r,
                                       .priority = cases[i].priority, .memory = cases[i].memory,
                                       .find_loaded = only_one_is_loaded, .without = gone,
                                       .n_without = cases[i].n_without};
        hone_status status = route_choose(&c, &request);
        CHECK_MSG(status == (cases[i].model ? HONE_OK : HONE_ERR_NOT_FOUND), "%zu", i);
        if (cases[i].model) CHECK_MSG(!strcmp(c.model, cases[i].model), "%zu: %s", i, c.model);
        CHECK_MSG(c.fallback == cases[i].fallback, "%zu", i);
        route_choice_release(&c);
    }
    results_close(r);
    store_close(s);
}

static void failed_allocations_are_reported_and_leak_nothing(void) {
    store *s;
    results *r;
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    measure_three(r);
    const route_request request = {.prompt = PUZZLE, .n = strlen(PUZZLE), .store = s, .results = r};
    hone_status status = HONE_ERR_MEMORY;
    for (long n = 1; n < 100000 && status != HONE_OK; n += 1 + n / 16) {
        route_choice c;
        mem_fail_from(n);
        status = route_choose(&c, &request);
        mem_fail_from(0);
        route_choice_release(&c);
    }
    CHECK_OK(status);
    results_close(r);
    store_close(s);
}

/* --- what is kept between choices --- */

static void rules_are_read_again_when_their_file_changes(void) {
    route_files *f;
    const route_rules *none, *empty, *same, *one;
    world_new_home();
    if (!CHECK_OK(route_files_open(&f))) return;
    CHECK_OK(route_files_rules(f, &none));
    CHECK(none->n == 0);
    world_write("config/route.json", "{\"rules\": []}");
    CHECK_OK(route_files_rules(f, &empty));
    CHECK_OK(route_files_rules(f, &same));
    CHECK(empty != none && same == empty);
    world_write("config/route.json", "{\"rules\": [{\"model\": \"a:1\"}]}");
    CHECK_OK(route_files_rules(f, &one));
    CHECK(one != empty && one->n == 1 && empty->n == 0); /* who has them keeps them */
    world_write("config/route.json", "{");
    CHECK(route_files_rules(f, &same) == HONE_ERR_FORMAT);
    CHECK(unlink(world_path("config/route.json")) == 0);
    route_files_return(f, empty);
    route_files_return(f, empty); /* it was given twice */
    CHECK_OK(route_files_rules(f, &empty));
    CHECK(empty->n == 0 && !strcmp(one->rules[0].model, "a:1"));
    route_files_return(f, none);
    route_files_return(f, one);
    route_files_return(f, empty);
    route_files_return(f, NULL);
    route_files_close(f);
    route_files_close(NULL);
}

static void rows_are_read_again_when_somebody_measures(void) {
    store *s;
    results *r;
    route_files *f;
    store_listing list;
    measured m;
    if (!test_shared()) SKIP("no reference data");
    if (!open_world(&s, &r)) SKIP("no small model");
    if (!CHECK_OK(store_list(s, true, &list)) || !CHECK_OK(route_files_open(&f))) return;
    CHECK_OK(route_files_measured(f, &m, &list, KIND_REASONING));
    CHECK(m.n_rows == 0);
    measured_release(&m);
    measure_three(r);
    for (int i = 0; i < 2; i++) {
        measured direct;
        CHECK_OK(route_files_measured(f, &m, &list, KIND_REASONING));
        CHECK_OK(measured_read(&direct, r, &list, KIND_REASONING));
        CHECK(m.n_rows > 1 && m.n_rows == direct.n_rows && !strcmp(m.task, direct.task));
        for (size_t k = 0; k < m.n_rows && k < direct.n_rows; k++)
            CHECK(m.rows[k].candidate == direct.rows[k].candidate &&
                  m.rows[k].result == direct.rows[k].result);
        measured_release(&m);
        measured_release(&direct);
    }
    const store_listing fewer = {.entries = list.entries + 1, .n = list.n - 1};
    CHECK_OK(route_files_measured(f, &m, &fewer, KIND_REASONING)); /* places are others now */
    for (size_t k = 0; k < m.n_rows; k++) CHECK(m.rows[k].candidate < fewer.n);
    measured_release(&m);
    route_files_close(f);
    store_listing_release(&list);
    results_close(r);
    store_close(s);
}

int main(void) {
    RUN(prompts_held_out_from_learning_are_as_often_right_as_is_said);
    RUN(a_guess_has_probabilities_and_signs);
    RUN(any_bytes_have_a_kind);
    RUN(a_rule_says_what_it_is_for_and_nothing_else_is_decided);
    RUN(rules_of_another_form_are_refused);
    RUN(each_priority_takes_its_own_of_measured_models);
    RUN(other_items_are_not_compared_and_a_single_row_decides_nothing);
    RUN(a_strategy_is_taken_where_it_is_better_beyond_the_intervals);
    RUN(rules_come_before_measured_rows);
    RUN(of_models_that_will_do_the_loaded_one_is_the_faster);
    RUN(failed_allocations_are_reported_and_leak_nothing);
    RUN(rules_are_read_again_when_their_file_changes);
    RUN(rows_are_read_again_when_somebody_measures);
    if (world_home[0]) fs_remove_tree(world_home);
    return test_summary();
}
