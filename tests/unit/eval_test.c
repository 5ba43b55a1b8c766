/* Tasks, from the manifest to the figures: on a small random model, and on answers written here. */
#include "lab/eval.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "files.h"
#include "lab/eval_int.h"
#include "lab/program.h"
#include "lab/prompt_form.h"
#include "lab/task_members.h"
#include "model_files.h"
#include "test.h"

/* --- forms --- */

static void form_gives(const char *form, const char *item, const char *expected) {
    json_t *json;
    buf out;
    buf_init(&out, 1 << 16);
    if (CHECK_OK(json_parse(&json, item, strlen(item), "item"))) {
        hone_status status = prompt_form_fill(&out, form, json, NULL);
        if (!expected) CHECK_MSG(status == HONE_ERR_FORMAT, "%s", form);
        else CHECK_MSG(status == HONE_OK && strcmp(out.data ? out.data : "", expected) == 0,
                       "%s: \"%s\", expected \"%s\"", form, out.data, expected);
        json_decref(json);
    }
    buf_release(&out);
}

static void forms_are_filled_from_items(void) {
    const char *item = "{\"q\": \" a \\n\", \"n\": 5, \"x\": 1.5, \"b\": true, \"list\": [\"one\", \"two\"],"
                       " \"u\": \"high_school\"}";
    form_gives("Q: {q}|{n}|{x}|{b}", item, "Q:  a \n|5|1.5|true");
    form_gives("{q|strip}{list[1]}{u|spaces}", item, "atwohigh school");
    form_gives("{list|lines}", item, "one\ntwo");
    form_gives("{{q}}", item, "{q}");
    form_gives("", item, "");
    form_gives("{missing}", item, NULL);
    form_gives("{list}", item, NULL);
    form_gives("{list[2]}", item, NULL);
    form_gives("{list[x]}", item, NULL);
    form_gives("{q|shout}", item, NULL);
    form_gives("{q", item, NULL);
    form_gives("q}", item, NULL);
    form_gives("{}", item, NULL);
}

/* --- a world of one model and one task --- */

typedef struct world {
    test_folder tmp;
    subject *subject;
    task *task;
} world;

/* --- other names --- */

static void members_give(const char *members, const char *item, const char *expected) {
    json_t *rules, *json, *wanted = NULL;
    CHECK_OK(json_parse(&rules, members, strlen(members), "members"));
    CHECK_OK(json_parse(&json, item, strlen(item), "item"));
    hone_status status = task_members_take(json, rules);
    if (expected) CHECK_OK(json_parse(&wanted, expected, strlen(expected), "expected"));
    CHECK_MSG(expected ? status == HONE_OK && json_equal(json, wanted) : status == HONE_ERR_FORMAT,
              "%s of %s", members, item);
    json_decref(rules);
    json_decref(json);
    json_decref(wanted);
}

static void members_are_called_as_the_manifest_says(void) {
    const char *gold = "{\"question\": \"query\", \"answer\": \"gold\"}";
    members_give(gold, "{\"query\": \"Q\", \"gold\": 2}",
                 "{\"query\": \"Q\", \"gold\": 2, \"question\": \"Q\", \"answer\": 2}");
    members_give(gold, "{\"question\": \"mine\", \"answer\": 1}",
                 "{\"question\": \"mine\", \"answer\": 1}");
    members_give("{\"a\": {\"of\": \"a\", \"behind\": \"####\"}}", "{\"a\": \"1 + 1\\n#### 2\\n\"}",
                 "{\"a\": \"2\"}");
    members_give("{\"a\": {\"of\": \"a\", \"behind\": \"####\"}}", "{\"a\": \"2\"}",
                 "{\"a\": \"2\"}");
    members_give("{\"q\": {\"of\": [\"b\", \"c\"]}}", "{\"b\": \"One \", \"c\": \"Two?\"}",
                 "{\"b\": \"One \", \"c\": \"Two?\", \"q\": \"One. Two?\"}");
    members_give("{\"q\": {\"of\": [\"b\", \"c\"]}}", "{\"c\": \"Two?\"}", "{\"c\": \"Two?\"}");
    members_give("{\"p\": {\"always\": \" x\\n\"}}", "{}", "{\"p\": \" x\\n\"}");
    members_give("{\"p\": {}}", "{}", NULL);
    members_give("{\"p\": {\"of\": \"a\", \"behind\": 3}}", "{\"a\": \"b\"}", NULL);
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static bool open_task_of(world *w, const char *manifest, const char *items) {
    const char *path = test_path(w->tmp.path, "t.json"), *lines = test_path(w->tmp.path, "t.jsonl");
    task_close(w->task);
    w->task = NULL;
    write_text(path, manifest);
    write_text(lines, items);
    return CHECK_OK(task_open(&w->task, path, NULL));
}

static bool world_make(world *w, size_t n_context) {
    const model_recipe r = {.type = DTYPE_F32, .n_context = n_context};
    *w = (world){.tmp = test_folder_make()};
    const char *model = test_path(w->tmp.path, "m.gguf");
    CHECK_OK(model_write_gguf(&r, model));
    return CHECK_OK(subject_open(&w->subject, &(subject_settings){.model = model, .exact = true,
                                                                  .n_threads = 2}));
}

static void world_release(world *w) {
    subject_close(w->subject);
    task_close(w->task);
    test_folder_remove(&w->tmp);
}

static const char choice_manifest[] =
    "{\"task\": \"t\", \"kind\": \"choice\", \"prompt\": \"{context}\", \"continuation\": \"{choice}\","
    " \"answer_prompt\": \"{context} {options}\", \"items\": \"t.jsonl\", \"max_tokens\": 4}";

static const char choice_items[] =
    "{\"id\": \"a\", \"context\": \"The sea is\", \"choices\": [\" blue\", \" very very green\", \"d\"],"
    " \"answer\": 1}\n\n"
    "{\"context\": \"The sea was\", \"choices\": [\" blue and\", \" blue or\"], \"answer\": 0}\n"
    "{\"context\": \"A longer beginning that shares nothing with the others, and goes on\","
    " \"choices\": [\" a\", \" b\"], \"answer\": 0}\n";

/* --- tasks --- */

static void tasks_that_are_malformed_say_why(void) {
    static const struct {
        const char *manifest, *items, *words;
    } bad[] = {
        {"{\"task\": \"t\", \"kind\": \"riddle\", \"prompt\": \"x\", \"items\": \"t.jsonl\"}", "{}\n", "riddle"},
        {"{\"task\": \"t\", \"kind\": \"number\", \"items\": \"t.jsonl\"}", "{}\n", "prompt"},
        {"{\"task\": \"t\", \"kind\": \"code\", \"prompt\": \"x\", \"items\": \"t.jsonl\"}", "{}\n", "program"},
        {"{\"task\": \"t\", \"kind\": \"open\", \"prompt\": \"x\", \"items\": \"t.jsonl\"}", "{}\nnull\n", "item 2"},
        {"{\"task\": \"t\", \"kind\": \"open\", \"prompt\": \"x\", \"items\": \"t.jsonl\"}", "\n", "no items"},
        {"{\"task\": \"t\", \"kind\": \"open\", \"prompt\": \"x\", \"items\": \"../t\"}", "{}\n", "name of a file"},
        {"{\"task\": \"t\", \"kind\": \"open\", \"prompt\": \"x\", \"items\": \"t.jsonl\", \"max_tokens\": 0}", "{}\n",
         "max_tokens"},
        {"{\"task\": \"t\", \"kind\": \"open\", \"prompt\": \"x\", \"items\": \"t.jsonl\", \"stop\": [\"\"]}", "{}\n",
         "stop"},
        {"[]", "{}\n", "missing"},
    };
    test_folder tmp = test_folder_make();
    const char *path = test_path(tmp.path, "t.json"), *lines = test_path(tmp.path, "t.jsonl");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        task *t = NULL;
        write_text(path, bad[i].manifest);
        write_text(lines, bad[i].items);
        CHECK_MSG(task_open(&t, path, NULL) == HONE_ERR_FORMAT &&
                  strstr(hone_error_message(), bad[i].words), "%zu: %s", i, hone_error_message());
        CHECK(t == NULL);
    }
    task *t;
    CHECK(task_open(&t, "no_such_task", NULL) == HONE_ERR_NOT_FOUND);
    CHECK(task_open(&t, "gsm8k", NULL) == HONE_ERR_NOT_FOUND);
    test_folder_remove(&tmp);
}

static hone_status count_own(void *context, const task_summary *s) {
    size_t *n = context;
    if (s->is_here && strcmp(s->origin, "hone") == 0) {
        n[0]++;
        n[1] += s->n_items >= 100;
        task *t = NULL;
        if (CHECK_OK(task_open(&t, s->name, NULL)))
            CHECK_MSG(t->n_items == s->n_items, "%s: %zu items", s->name, t->n_items);
        task_close(t);
    }
    return HONE_OK;
}

/* All but those of two published functions, in five languages: they are drawn many times. */
static void hones_own_tasks_have_a_hundred_items_each(void) {
    size_t n[2] = {0, 0};
    CHECK_OK(task_each(count_own, n));
    CHECK_MSG(n[0] == 10 + 5 && n[1] == 10, "%zu, %zu", n[0], n[1]);
}

/* --- choices --- */

static double score_plainly(const world *w, const char *context, const char *continuation) {
    char text[400];
    int32_t *ids = NULL, *all = NULL;
    size_t n = 0, n_all = 0;
    double logprobs[400], sum = 0;
    hone_session *s = NULL;
    hone_model *m = subject_describe(w->subject)->model;
    snprintf(text, sizeof text, "%s%s", context, continuation);
    CHECK_OK(hone_tokenize(m, context, strlen(context), true, &ids, &n));
    CHECK_OK(hone_tokenize(m, text, strlen(text), true, &all, &n_all));
    CHECK_OK(hone_session_open(&s, m, &(hone_session_options){.exact = true}));
    if (n == n_all) n--; /* the last id of both became one */
    CHECK_OK(hone_prefill(s, all, n, NULL, NULL, NULL));
    CHECK_OK(hone_score(s, all + n, n_all - n, logprobs));
    for (size_t i = 0; i < n_all - n; i++) sum += logprobs[i];
    hone_session_close(s);
    hone_free(ids);
    hone_free(all);
    return sum;
}

static void scores_in_batches_are_scores_one_by_one(void) {
    world w;
    eval_result r = {.task = NULL};
    if (world_make(&w, 256) && open_task_of(&w, choice_manifest, choice_items) &&
        CHECK_OK(eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1}))) {
        CHECK(r.n_done == 3 && r.validity.n == 0 && r.n_figures == 2);
        for (size_t i = 0; i < 3; i++) {
            const json_t *sample = r.items[i].sample, *list = json_object_get(sample, "choices");
            const char *context = json_string_value(json_object_get(sample, "context"));
            for (size_t k = 0; k < json_array_size(list); k++) {
                const json_t *c = json_array_get(list, k);
                const char *text = json_string_value(json_object_get(c, "continuation"));
                CHECK(json_number_value(json_object_get(c, "logprob")) ==
                      score_plainly(&w, context, text));
            }
        }
        CHECK(strcmp(json_string_value(json_object_get(r.items[0].sample, "id")), "a") == 0);
        CHECK(strcmp(json_string_value(json_object_get(r.items[1].sample, "id")), "1") == 0);
    }
    eval_result_release(&r);
    world_release(&w);
}

static void items_too_long_for_the_context_make_a_run_invalid(void) {
    world w;
    eval_result r = {.task = NULL};
    if (world_make(&w, 16) && open_task_of(&w, choice_manifest, choice_items) &&
        CHECK_OK(eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1}))) {
        CHECK(r.n_done == 3 && r.n_truncated >= 1 && validity_has(&r.validity, VALIDITY_TRUNCATED));
        json_t *json = eval_result_to_json(&r);
        CHECK(json_is_false(json_object_get(json, "valid")));
        CHECK(json_array_size(json_object_get(json, "reasons")) == r.validity.n);
        json_decref(json);
    }
    eval_result_release(&r);
    world_release(&w);
}

static void items_that_lack_something_are_errors(void) {
    static const char *const bad[] = {
        "{\"context\": \"x\", \"choices\": [\"a\"], \"answer\": 0}\n",
        "{\"context\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 2}\n",
        "{\"context\": \"x\", \"choices\": [\"a\", 5], \"answer\": 0}\n",
        "{\"context\": \"x\", \"answer\": 0}\n", "{\"choices\": [\"a\", \"b\"], \"answer\": 0}\n",
        "{\"context\": \"x\", \"choices\": [\"a\", \"b\"]}\n"};
    world w;
    if (world_make(&w, 256))
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            eval_result r = {.task = NULL};
            if (!open_task_of(&w, choice_manifest, bad[i])) break;
            CHECK_MSG(eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1}) ==
                      HONE_ERR_FORMAT, "%zu", i);
            eval_result_release(&r);
        }
    world_release(&w);
}

/* --- answers --- */

static const char number_manifest[] =
    "{\"task\": \"t\", \"kind\": \"number\", \"prompt\": \"{q}\", \"items\": \"t.jsonl\","
    " \"max_tokens\": 3, \"group\": \"lang\"}";

static void write_numbers(char *items, size_t n) {
    for (size_t i = 0; i < n; i++)
        items += sprintf(items, "{\"q\": \"%zu and\", \"answer\": \"%zu\", \"lang\": \"%s\"}\n", i,
                         i, i % 2 ? "en" : "de");
}

static bool stop_half_way(void *context, const char *doing, size_t n_done, size_t n) {
    (void)doing, (void)context;
    return n_done < n / 2;
}

static void cut_answers_make_a_run_invalid_and_are_kept(void) {
    world w;
    char items[4000];
    eval_result r = {.task = NULL};
    write_numbers(items, 20);
    if (world_make(&w, 256) && open_task_of(&w, number_manifest, items) &&
        CHECK_OK(eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1}))) {
        CHECK(r.n_done == 20 && r.n_tokens > 0 && r.n_groups == 2 && r.groups[0].n == 10);
        CHECK_MSG(r.n_cut > 10 && validity_has(&r.validity, VALIDITY_CUT_ANSWER), "%zu", r.n_cut);
        const json_t *sample = r.items[7].sample;
        CHECK(strcmp(json_string_value(json_object_get(sample, "prompt")), "7 and") == 0);
        CHECK(json_is_string(json_object_get(sample, "output")));
        CHECK(json_is_boolean(json_object_get(sample, "right")));
    }
    eval_result_release(&r);
    world_release(&w);
}

static void a_run_that_was_stopped_holds_what_there_is(void) {
    world w;
    char items[8000];
    eval_result r = {.task = NULL};
    const eval_settings settings = {.seed = 1, .observe = stop_half_way};
    write_numbers(items, 40);
    if (world_make(&w, 256) && open_task_of(&w, number_manifest, items) &&
        CHECK_OK(eval_run(&r, w.subject, w.task, &settings))) {
        CHECK_MSG(r.n_done >= 20 && r.n_done < 40 && r.figures[0].n == r.n_done, "%zu", r.n_done);
        CHECK(validity_has(&r.validity, VALIDITY_UNFINISHED));
    }
    eval_result_release(&r);
    world_release(&w);
}

/* The manifest of a task whose answers end before `stop` (NULL: not so); the caller frees it. */
static char *open_question(const char *stop) {
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:o*}", "task", "t", "kind", "open", "prompt",
                          "x", "items", "t.jsonl", "max_tokens", 200, "stop",
                          stop ? json_pack("[s]", stop) : NULL);
    char *text = json_dumps(o, 0);
    json_decref(o);
    return text;
}

/* The first character that the model answers is made a stop: its answers are empty from then on. */
static void empty_answers_make_a_run_invalid(void) {
    world w;
    char first[5] = "";
    for (int run = 0; run < 2; run++) {
        eval_result r = {.task = NULL};
        char *manifest = open_question(run ? first : NULL);
        if ((run || world_make(&w, 256)) && open_task_of(&w, manifest, "{}\n{}\n") &&
            CHECK_OK(eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1}))) {
            const char *output = json_string_value(json_object_get(r.items[0].sample, "output"));
            uint32_t code;
            size_t n = output && *output ? utf8_decode(output, strlen(output), &code) : 0;
            CHECK(validity_has(&r.validity, VALIDITY_EMPTY_ANSWER) == (run == 1));
            CHECK(run ? r.n_empty == 2 && n == 0 : r.n_empty == 0 && n > 0);
            if (!run) snprintf(first, sizeof first, "%.*s", (int)n, output ? output : "");
        }
        eval_result_release(&r);
        free(manifest);
    }
    world_release(&w);
}

static void draws_of_items_follow_the_seed(void) {
    world w;
    char items[8000];
    size_t first[3][5];
    write_numbers(items, 40);
    if (world_make(&w, 256) && open_task_of(&w, number_manifest, items)) {
        for (int run = 0; run < 3; run++) {
            eval_result r = {.task = NULL};
            const eval_settings settings = {.seed = run == 2 ? 9 : 4, .limit = 5, .max_tokens = 1};
            CHECK_OK(eval_run(&r, w.subject, w.task, &settings));
            CHECK(r.n_items == 5);
            for (size_t i = 0; i < 5; i++) {
                first[run][i] = r.items[i].index;
                CHECK(i == 0 || r.items[i].index > r.items[i - 1].index);
            }
            eval_result_release(&r);
        }
        CHECK(memcmp(first[0], first[1], sizeof first[0]) == 0);
        CHECK(memcmp(first[0], first[2], sizeof first[0]) != 0);
    }
    world_release(&w);
}

/* Blocks of one draw share no item, and together they are all of them. */
static void blocks_of_a_draw_are_apart(void) {
    world w;
    char items[8000];
    int seen[40] = {0};
    write_numbers(items, 40);
    if (world_make(&w, 256) && open_task_of(&w, number_manifest, items)) {
        for (size_t skip = 0; skip < 40; skip += 16) {
            eval_result r = {.task = NULL};
            const eval_settings settings = {.seed = 4, .skip = skip, .limit = 16, .max_tokens = 1};
            CHECK_OK(eval_run(&r, w.subject, w.task, &settings));
            CHECK(r.n_items == (skip == 32 ? 8 : 16));
            for (size_t i = 0; i < r.n_items; i++) seen[r.items[i].index]++;
            eval_result_release(&r);
        }
        for (size_t i = 0; i < 40; i++) CHECK(seen[i] == 1);
    }
    world_release(&w);
}

static void choices_can_be_asked_for_by_letter(void) {
    world w;
    eval_result r = {.task = NULL};
    if (world_make(&w, 256) && open_task_of(&w, choice_manifest, choice_items) &&
        CHECK_OK(eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1, .by_answer = true}))) {
        const char *prompt = json_string_value(json_object_get(r.items[1].sample, "prompt"));
        CHECK_MSG(strcmp(prompt, "The sea was A.  blue and\nB.  blue or") == 0, "%s", prompt);
        CHECK(r.n_figures == 1 && json_is_integer(json_object_get(r.items[0].sample, "pick")));
    }
    eval_result_release(&r);
    world_release(&w);
}

static void examples_stand_before_the_item(void) {
    world w;
    eval_result r = {.task = NULL};
    const char *manifest =
        "{\"task\": \"t\", \"kind\": \"choice\", \"prompt\": \"{q}=\", \"items\": \"t.jsonl\","
        " \"shots\": {\"items\": \"t.jsonl\", \"n\": 2, \"match\": \"s\", \"head\": \"On {s}:\\n\","
        " \"form\": \"{q}={choice}({label})\\n\"}}";
    const char *items = "{\"q\": \"1\", \"s\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n"
                        "{\"q\": \"2\", \"s\": \"y\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n"
                        "{\"q\": \"3\", \"s\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n"
                        "{\"q\": \"4\", \"s\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n";
    if (world_make(&w, 256) && open_task_of(&w, manifest, items)) {
        eval_run_state run = {.r = &r, .s = w.subject, .t = w.task};
        char *text = NULL;
        if (CHECK_OK(eval_prompt(&run, w.task->prompt, json_array_get(w.task->items, 3), &text)))
            CHECK_MSG(strcmp(text, "On x:\n1=b(B)\n3=a(A)\n4=") == 0, "%s", text);
        mem_free(text);
        CHECK(eval_prompt(&run, w.task->prompt, json_array_get(w.task->items, 1), &text) ==
              HONE_ERR_FORMAT);
    }
    world_release(&w);
}

/* --- code --- */

/* The verdict on an answer that is written here. */
static bool judge(task *t, size_t index, const char *answer) {
    eval_result r = {.task = t};
    eval_item item = {.index = index, .sample = json_object()};
    const eval_run_state run = {.r = &r, .t = t};
    CHECK_OK(eval_judge(&run, &item, 0, answer));
    bool right = item.counts[0].of[0] == 1;
    if (!right) printf("%s\n", json_string_value(json_object_get(item.sample, "program_output")));
    json_decref(item.sample);
    return right;
}

static void references_pass(const char *name, const char *items, size_t every) {
    task *t = NULL;
    char path[4096];
    if (items) snprintf(path, sizeof path, "%s/data/eval/%s", test_shared(), items);
    if (!CHECK_OK(task_open(&t, name, items ? path : NULL))) return;
    if (eval_check_code(t) != HONE_OK) printf("left out: %s\n", hone_error_message());
    else
        for (size_t i = 0; i < t->n_items; i += every) {
            const char *reference =
                json_string_value(json_object_get(json_array_get(t->items, i), "reference"));
            CHECK_MSG(judge(t, i, reference), "%s %s", name, task_item_id(t, i));
        }
    task_close(t);
}

static void references_of_own_programs_pass(void) {
    if (program_check("python") != HONE_OK) SKIP("%s", hone_error_message());
    references_pass("code", NULL, 2);
    references_pass("code_c", NULL, 6);
}

static const char *const two_functions[] = {"prime_fibonacci", "prime_fibonacci_js",
                                            "prime_fibonacci_c", "prime_fibonacci_cpp",
                                            "prime_fibonacci_rs"};

static void two_functions_pass_in_every_language(void) {
    if (program_check("python") != HONE_OK) SKIP("%s", hone_error_message());
    for (size_t i = 0; i < 5; i++) references_pass(two_functions[i], NULL, 1);
}

static double check_answer(task *t, const char *answer, char **fault) {
    const eval_run_state run = {.t = t};
    eval_code_check check = {&run, 0};
    double score = -1;
    CHECK_OK(eval_check_answer(&check, answer, &score, fault));
    return score;
}

/* The published answer: its loop runs up to and with n, so that nothing is prime. What the prompt
 * shows finds that; what only the tests know is no strategy's to see. A main of the answer's own
 * does not matter. */
static void a_wrong_function_fails_and_its_fault_is_told(void) {
    static const char wrong[] = "```c\nint is_prime(int n) {\n for (int i = 2; i <= n; i++) if (n % i == 0) "
                                "return 0;\n return 1;\n}\nint main(void) { return 1; }\n```";
    static const char shown_only[] = "```c\nint is_prime(int n) { return n % 2; }\n```";
    task *t = NULL;
    char *fault = NULL;
    if (program_check("c") != HONE_OK) SKIP("%s", hone_error_message());
    if (!CHECK_OK(task_open(&t, "prime_fibonacci_c", NULL))) return;
    CHECK(!judge(t, 0, wrong) && check_answer(t, wrong, &fault) == 0 && fault &&
          strstr(fault, "exited"));
    mem_free(fault);
    fault = NULL;
    CHECK(!judge(t, 0, shown_only) && check_answer(t, shown_only, &fault) == 1 && !fault);
    task_close(t);
}

static void references_of_public_programs_pass(void) {
    if (!test_shared()) SKIP("the reference data is missing");
    if (program_check("python") != HONE_OK) SKIP("%s", hone_error_message());
    references_pass("humaneval", "humaneval-164.jsonl", 11);
    references_pass("mbpp", "mbpp-100.jsonl", 9);
    references_pass("humanevalx_cpp", "humanevalx-cpp-161.jsonl", 40);
    references_pass("humanevalx_js", "humanevalx-js-161.jsonl", 20);
}

static void blocks_of_code_are_found_in_chats(void) {
    task *t = NULL;
    if (program_check("python") != HONE_OK) SKIP("%s", hone_error_message());
    if (!CHECK_OK(task_open(&t, "code", NULL))) return;
    /* the first item is reverse_text */
    CHECK(judge(t, 0, "Sure.\n```python\ndef reverse_text(x):\n    return x[::-1]\n```\nDone."));
    CHECK(judge(t, 0, "```\nx = 1\n```\nor\n```py\ndef reverse_text(x):\n    return x[::-1]\n"));
    CHECK(judge(t, 0, "```python\n    return x[::-1]\n```"));
    CHECK(!judge(t, 0, "```python\ndef reverse_text(x):\n    return x\n```"));
    CHECK(!judge(t, 0, "") && !judge(t, 0, "\n```") && !judge(t, 0, "I cannot."));
    task_close(t);
}

static void rust_runs_where_it_is_installed(void) {
    program_result r;
    if (program_check("rust") != HONE_OK) SKIP("%s", hone_error_message());
    CHECK_OK(program_run(&r, "rust", "fn main() { assert_eq!([1, 2].iter().sum::<i32>(), 3); }"));
    CHECK_MSG(r.passed, "%s: %s", r.words, r.output);
    CHECK_OK(program_run(&r, "rust", "fn main() { panic!(\"no\") }"));
    CHECK(!r.passed && strstr(r.output, "no"));
    CHECK_OK(program_run(&r, "rust", "fn main() { x }"));
    CHECK(!r.passed && strncmp(r.words, "did not compile", 15) == 0);
}

static void languages_that_are_not_known_are_refused(void) {
    program_result r;
    CHECK(program_run(&r, "cobol", "x") == HONE_ERR_ARGUMENT);
}

/* --- memory --- */

static void torn_memory_is_an_error_and_nothing_else(void) {
    world w;
    if (world_make(&w, 256) && open_task_of(&w, choice_manifest, choice_items))
        for (long n = 1;; n += n / 6 + 1) {
            eval_result r = {.task = NULL};
            mem_fail_from(n);
            hone_status status = eval_run(&r, w.subject, w.task, &(eval_settings){.seed = 1});
            mem_fail_from(0);
            eval_result_release(&r);
            if (status == HONE_OK) break;
            CHECK_MSG(status == HONE_ERR_MEMORY, "%ld: %s", n, hone_error_message());
            if (status != HONE_ERR_MEMORY) break;
        }
    world_release(&w);
}

int main(void) {
    setenv("HONE_TASKS", "tasks", 0); /* tests run in the repository's folder */
    RUN(forms_are_filled_from_items);
    RUN(members_are_called_as_the_manifest_says);
    RUN(tasks_that_are_malformed_say_why);
    RUN(hones_own_tasks_have_a_hundred_items_each);
    RUN(scores_in_batches_are_scores_one_by_one);
    RUN(items_too_long_for_the_context_make_a_run_invalid);
    RUN(items_that_lack_something_are_errors);
    RUN(cut_answers_make_a_run_invalid_and_are_kept);
    RUN(a_run_that_was_stopped_holds_what_there_is);
    RUN(empty_answers_make_a_run_invalid);
    RUN(draws_of_items_follow_the_seed);
    RUN(blocks_of_a_draw_are_apart);
    RUN(choices_can_be_asked_for_by_letter);
    RUN(examples_stand_before_the_item);
    RUN(references_of_own_programs_pass);
    RUN(two_functions_pass_in_every_language);
    RUN(a_wrong_function_fails_and_its_fault_is_told);
    RUN(references_of_public_programs_pass);
    RUN(blocks_of_code_are_found_in_chats);
    RUN(rust_runs_where_it_is_installed);
    RUN(languages_that_are_not_known_are_refused);
    RUN(torn_memory_is_an_error_and_nothing_else);
    return test_summary();
}
