/* causal_lm: a tiny model folder against its recorded logits, greedy texts, ids and chats, in the
 * exact mode; and the same model cut, batched, forked and threaded in other ways, bit for bit. */
#define TEST_SHARED_STATE
#include <jansson.h>
#include <time.h>

#include "base/mem.h"
#include "golden.h"
#include "infer/engine.h"
#include "test.h"

typedef struct lm_case {
    int32_t *ids, *greedy;
    size_t n_ids, n_greedy;
    float *logits; /* [n_ids, n_vocab] as hone computed them in one go */
} lm_case;

typedef struct lm {
    const golden *g;
    hone_model *model;
    size_t n_vocab, n_cases;
    lm_case *cases;
    double atol, largest;
} lm;

static hone_session *exact_session(hone_model *model, size_t chunk) {
    hone_session *s = NULL;
    hone_session_options options = {.exact = true, .prefill_chunk = chunk};
    CHECK_OK(hone_session_open(&s, model, &options));
    return s;
}

static int32_t greedy_of(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

static bool same_row(const lm *l, const lm_case *c, size_t position, const float *logits) {
    return logits && memcmp(logits, c->logits + position * l->n_vocab,
                            l->n_vocab * sizeof *logits) == 0;
}

/* --- against the reference --- */

static void logits_match(lm *l, size_t i) {
    lm_case *c = &l->cases[i];
    const float *want = golden_floats(l->g, "logits", i);
    hone_session *s = exact_session(l->model, 0);
    if (want && CHECK_OK(hone_step(&(hone_step_item){s, c->ids, c->n_ids, HONE_LOGITS_ALL}, 1))) {
        size_t n = c->n_ids * l->n_vocab;
        c->logits = malloc(n * sizeof *c->logits);
        memcpy(c->logits, hone_session_logits(s, 0), n * sizeof *c->logits);
        double difference = largest_difference(c->logits, want, n);
        CHECK_MSG(difference <= l->atol, "case %zu: %g, allowed %g", i, difference, l->atol);
        if (difference > l->largest) l->largest = difference;
    }
    hone_session_close(s);
}

static void greedy_matches(lm *l, size_t i) {
    lm_case *c = &l->cases[i];
    const float *want = golden_floats(l->g, "last", i);
    hone_session *s = exact_session(l->model, 0);
    CHECK_OK(hone_prefill(s, c->ids, c->n_ids, NULL, NULL, NULL));
    for (size_t t = 0; t < c->n_greedy; t++) {
        int32_t token = greedy_of(hone_session_logits(s, 0), l->n_vocab);
        CHECK_MSG(token == c->greedy[t], "case %zu, step %zu: %d, expected %d", i, t, token,
                  c->greedy[t]);
        CHECK_OK(hone_step(&(hone_step_item){s, &c->greedy[t], 1, HONE_LOGITS_LAST}, 1));
    }
    double difference = want ? largest_difference(hone_session_logits(s, 0), want, l->n_vocab) : 0;
    CHECK_MSG(difference <= l->atol, "case %zu: %g after the last token", i, difference);
    if (difference > l->largest) l->largest = difference;
    hone_session_close(s);
}

static void generate_matches(lm *l, size_t i, hone_draft_kind kind) {
    lm_case *c = &l->cases[i];
    hone_session *s = exact_session(l->model, 0), *draft = exact_session(l->model, 0);
    hone_request request = {.prompt_ids = c->ids, .n_prompt_ids = c->n_ids,
                            .sampling = hone_sampling_greedy(), .max_tokens = c->n_greedy,
                            .ignore_eos = true, .draft_kind = kind, .draft = draft};
    hone_result result = {0};
    if (CHECK_OK(hone_generate(s, &request, &result))) {
        CHECK_MSG(result.n_tokens == c->n_greedy &&
                  memcmp(result.tokens, c->greedy, c->n_greedy * sizeof *c->greedy) == 0,
                  "case %zu: another text (%zu tokens)", i, result.n_tokens);
        CHECK(result.finish == HONE_FINISH_LENGTH);
        if (kind == HONE_DRAFT_MODEL) {
            CHECK(result.n_drafted > 0);
            CHECK(result.n_accepted == result.n_drafted);
        }
    }
    hone_result_release(&result);
    hone_session_close(draft);
    hone_session_close(s);
}

/* --- against itself, bit for bit --- */

static void steps_of(lm *l, size_t i, size_t piece, size_t chunk) {
    lm_case *c = &l->cases[i];
    hone_session *s = exact_session(l->model, chunk);
    for (size_t done = 0; done < c->n_ids; done += piece) {
        size_t n = c->n_ids - done < piece ? c->n_ids - done : piece;
        CHECK_OK(hone_step(&(hone_step_item){s, c->ids + done, n, HONE_LOGITS_LAST}, 1));
        CHECK_MSG(same_row(l, c, done + n - 1, hone_session_logits(s, 0)),
                  "case %zu: position %zu differs in steps of %zu", i, done + n - 1, piece);
    }
    hone_session_close(s);
}

static void forked_in_the_middle(lm *l, size_t i) {
    lm_case *c = &l->cases[i];
    size_t half = (c->n_ids + 1) / 2;
    hone_session *parent = exact_session(l->model, 0), *child = NULL, *other = NULL;
    CHECK_OK(hone_prefill(parent, c->ids, half, NULL, NULL, NULL));
    CHECK_OK(hone_session_fork(&child, parent));
    CHECK_OK(hone_session_fork(&other, parent));
    CHECK(same_row(l, c, half - 1, hone_session_logits(child, 0)));
    /* The siblings write other things into what was shared; the child must not notice. */
    int32_t noise[] = {c->ids[0], c->ids[0], c->ids[0]};
    CHECK_OK(hone_step((hone_step_item[]){{parent, noise, 3, HONE_LOGITS_LAST},
                                          {other, noise, 1, HONE_LOGITS_NONE}}, 2));
    hone_session_close(parent);
    size_t reused;
    CHECK_OK(hone_prefill(child, c->ids, c->n_ids, &reused, NULL, NULL));
    CHECK(reused == half);
    CHECK(same_row(l, c, c->n_ids - 1, hone_session_logits(child, 0)));
    CHECK_OK(hone_prefill(other, c->ids, c->n_ids, &reused, NULL, NULL));
    CHECK(same_row(l, c, c->n_ids - 1, hone_session_logits(other, 0)));
    hone_session_close(other);
    hone_session_close(child);
}

static void prefix_reused(lm *l, size_t i) {
    lm_case *c = &l->cases[i], *first = &l->cases[(i + 1) % l->n_cases];
    hone_session *s = exact_session(l->model, 0);
    size_t reused;
    CHECK_OK(hone_prefill(s, first->ids, first->n_ids, NULL, NULL, NULL));
    CHECK_OK(hone_prefill(s, c->ids, c->n_ids, &reused, NULL, NULL));
    CHECK(same_row(l, c, c->n_ids - 1, hone_session_logits(s, 0)));
    CHECK_OK(hone_step(&(hone_step_item){s, c->greedy, 3, HONE_LOGITS_LAST}, 1));
    CHECK_OK(hone_prefill(s, c->ids, c->n_ids, &reused, NULL, NULL));
    CHECK(reused == c->n_ids - 1);
    CHECK(same_row(l, c, c->n_ids - 1, hone_session_logits(s, 0)));
    CHECK_OK(hone_prefill(s, c->ids, c->n_ids, &reused, NULL, NULL));
    CHECK(reused == c->n_ids);
    hone_session_close(s);
}

static void batched_as_alone(lm *l) {
    const json_t *batch = json_object_get(l->g->json, "batch");
    size_t n = json_array_size(batch);
    hone_session *sessions[16];
    hone_step_item items[16];
    lm_case *cases[16];
    CHECK(n >= 2 && n <= 16);
    if (n < 2 || n > 16) return;
    for (size_t j = 0; j < n; j++) {
        cases[j] = &l->cases[json_integer_value(json_array_get(batch, j))];
        sessions[j] = exact_session(l->model, 40);
        items[j] = (hone_step_item){sessions[j], cases[j]->ids, cases[j]->n_ids, HONE_LOGITS_ALL};
    }
    CHECK_OK(hone_step(items, n));
    for (size_t j = 0; j < n; j++)
        for (size_t t = 0; t < cases[j]->n_ids; t++)
            CHECK_MSG(same_row(l, cases[j], t, hone_session_logits(sessions[j], t)),
                      "sequence %zu, position %zu", j, t);
    for (size_t t = 0; t < cases[0]->n_greedy; t++) {
        for (size_t j = 0; j < n; j++) {
            const float *last = session_last_logits(sessions[j]);
            CHECK_MSG(greedy_of(last, l->n_vocab) == cases[j]->greedy[t], "sequence %zu, step %zu",
                      j, t);
            items[j] = (hone_step_item){sessions[j], &cases[j]->greedy[t], 1, HONE_LOGITS_LAST};
        }
        CHECK_OK(hone_step(items, n));
    }
    for (size_t j = 0; j < n; j++) hone_session_close(sessions[j]);
}

static void threads_agree(lm *l, int n_threads) {
    lm other = *l;
    if (!CHECK_OK(hone_model_open(&other.model, l->g->folder,
                                  &(hone_model_options){.n_threads = n_threads})))
        return;
    for (size_t i = 0; i < l->n_cases; i++) steps_of(&other, i, l->cases[i].n_ids, 0);
    hone_model_close(other.model);
}

static void scores_agree(lm *l, size_t i) {
    lm_case *c = &l->cases[i];
    if (c->n_ids < 2) return;
    hone_session *s = exact_session(l->model, 0);
    double *logprobs = malloc(c->n_ids * sizeof *logprobs);
    CHECK_OK(hone_prefill(s, c->ids, 1, NULL, NULL, NULL));
    CHECK_OK(hone_score(s, c->ids + 1, c->n_ids - 1, logprobs));
    for (size_t t = 1; t < c->n_ids; t++) {
        const float *row = c->logits + (t - 1) * l->n_vocab;
        double sum = 0, max = row[greedy_of(row, l->n_vocab)];
        for (size_t v = 0; v < l->n_vocab; v++) sum += exp((double)row[v] - max);
        CHECK_NEAR(logprobs[t - 1], (double)row[c->ids[t]] - max - log(sum), 1e-9);
    }
    free(logprobs);
    hone_session_close(s);
}

/* --- text --- */

static bool same_ids(const token_list *have, const json_t *array) {
    size_t n;
    int32_t *want = golden_ids(array, &n);
    bool same = have->n == n && (n == 0 || memcmp(have->ids, want, n * sizeof *want) == 0);
    free(want);
    return same;
}

static void check_encoding(const lm *l, const json_t *text, const json_t *ids, unsigned flags) {
    token_list have = {0};
    CHECK_OK(tokenizer_encode(l->model->tokenizer, json_string_value(text),
                              json_string_length(text),
                              NULL, 0, flags, &have));
    CHECK_MSG(same_ids(&have, ids), "\"%s\" has other ids", json_string_value(text));
    token_list_release(&have);
}

static void tokenizer_matches(lm *l) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(l->g->json, "tokenizer"), i, row) {
        const json_t *text = json_object_get(row, "text");
        const json_t *decoded = json_object_get(row, "decoded");
        check_encoding(l, text, json_object_get(row, "ids"), 0);
        check_encoding(l, text, json_object_get(row, "ids_with_special"), ENCODE_ADD_SPECIAL);
        size_t n, bytes;
        int32_t *ids = golden_ids(json_object_get(row, "ids"), &n);
        char *have;
        if (decoded && CHECK_OK(hone_detokenize(l->model, ids, n, false, &have, &bytes))) {
            CHECK_MSG(bytes == json_string_length(decoded) &&
                      memcmp(have, json_string_value(decoded), bytes) == 0,
                      "decoded \"%s\", expected \"%s\"", have, json_string_value(decoded));
            hone_free(have);
        }
        free(ids);
    }
    json_array_foreach(json_object_get(l->g->json, "cases"), i, row) {
        bool special = json_is_true(json_object_get(row, "add_special_tokens"));
        check_encoding(l, json_object_get(row, "prompt"), json_object_get(row, "ids"),
                       special ? ENCODE_ADD_SPECIAL : 0);
    }
}

static void chats_match(lm *l) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(l->g->json, "chat"), i, row) {
        const char *want = json_string_value(json_object_get(row, "rendered"));
        json_t *variables = json_pack("{s:O, s:O, s:s, s:s}", "messages",
            json_object_get(row, "messages"), "add_generation_prompt",
            json_object_get(row, "add_generation_prompt"), "bos_token", l->model->bos_text,
            "eos_token", l->model->eos_text);
        struct tm clock = {.tm_year = 126, .tm_mday = 2};
        template_output have = {0};
        CHECK(l->model->template != NULL);
        if (l->model->template &&
            CHECK_OK(chat_template_render(l->model->template, variables, &clock, &have))) {
            CHECK_MSG(strcmp(have.text, want) == 0, "chat %zu:\n%s\nexpected:\n%s", i, have.text,
                      want);
            token_list ids = {0};
            CHECK_OK(tokenizer_encode(l->model->tokenizer, have.text, have.n, have.control,
                                      have.n_control, 0, &ids));
            CHECK_MSG(same_ids(&ids, json_object_get(row, "ids")), "chat %zu has other ids", i);
            token_list_release(&ids);
        }
        template_output_release(&have);
        json_decref(variables);
    }
}

/* --- all of it --- */

/* --- what a request can want of its prompt --- */

/* The last of the reference's hidden states is the final norm's output. */
static void states_match(lm *l) {
    const lm_case *c = &l->cases[0];
    const hone_model_info *info = hone_model_describe(l->model);
    const float *all = golden_floats(l->g, "hidden", 0);
    size_t n = c->n_ids * info->n_embedding;
    hone_session *s = exact_session(l->model, 4); /* of several passes */
    if (all && CHECK_OK(hone_step(&(hone_step_item){s, c->ids, c->n_ids, HONE_LOGITS_STATES}, 1))) {
        double difference =
            largest_difference(hone_session_states(s, 0), all + (info->n_layers + 1) * n, n);
        CHECK_MSG(difference <= l->atol, "%g, allowed %g", difference, l->atol);
        CHECK(!hone_session_logits(s, 0) && !hone_session_states(s, c->n_ids));
    }
    hone_session_close(s);
}

static void embeddings_are_means(lm *l, size_t i) {
    const lm_case *c = &l->cases[i];
    size_t n = hone_model_describe(l->model)->n_embedding;
    double *mean = calloc(n, sizeof *mean), length = 0;
    hone_session *s = exact_session(l->model, 0);
    CHECK_OK(hone_step(&(hone_step_item){s, c->ids, c->n_ids, HONE_LOGITS_STATES}, 1));
    for (size_t t = 0; t < c->n_ids; t++)
        for (size_t k = 0; k < n; k++) mean[k] += (double)hone_session_states(s, t)[k];
    for (size_t k = 0; k < n; k++) length += mean[k] * mean[k];
    hone_request r = {.prompt_ids = c->ids, .n_prompt_ids = c->n_ids, .embedding = true,
                      .sampling = hone_sampling_greedy()};
    hone_result result = {0};
    if (CHECK_OK(hone_generate(s, &r, &result))) { /* on a session that holds the prompt already */
        CHECK(result.n_tokens == 0 && result.n_cached_tokens == 0 && result.embedding);
        for (size_t k = 0; k < n && result.embedding; k++)
            CHECK_NEAR(result.embedding[k], mean[k] / sqrt(length), 1e-6);
    }
    hone_result_release(&result);
    hone_session_close(s);
    free(mean);
}

typedef struct told {
    const lm *l;
    const lm_case *c;
    size_t n, n_generated;
} told;

static int check_told(void *user, const hone_piece *piece) {
    told *t = user;
    if (!piece->in_prompt) {
        t->n_generated++;
        return 0;
    }
    const lm_case *c = t->c;
    if (!CHECK_OK(t->n < c->n_ids ? HONE_OK : HONE_ERR_ARGUMENT)) return 1;
    CHECK(piece->token == c->ids[t->n] && piece->n_bytes == 0);
    if (t->n == 0) {
        CHECK(isnan(piece->logprob) && piece->n_top == 0);
    } else {
        const float *row = c->logits + (t->n - 1) * t->l->n_vocab;
        double total = 0;
        for (size_t k = 0; k < t->l->n_vocab; k++) total += exp((double)row[k]);
        CHECK_NEAR(piece->logprob, (double)row[piece->token] - log(total), 1e-4);
        CHECK(piece->n_top == 2 && piece->top_ids[0] == greedy_of(row, t->l->n_vocab));
    }
    t->n++;
    return 0;
}

static void prompts_are_scored(lm *l, size_t i) {
    const lm_case *c = &l->cases[i];
    for (size_t max = 0; max < 2; max++) {
        told t = {l, c, 0, 0};
        hone_session *s = exact_session(l->model, 0);
        hone_request r = {.prompt_ids = c->ids, .n_prompt_ids = c->n_ids, .prompt_logprobs = true,
                          .logprobs = true, .n_top_logprobs = 2, .max_tokens = max,
                          .prompt_only = max == 0, .sampling = hone_sampling_greedy(),
                          .on_piece = check_told, .user = &t};
        hone_result result = {0};
        CHECK_OK(hone_generate(s, &r, &result));
        CHECK(t.n == c->n_ids && t.n_generated == max && result.n_tokens == max);
        CHECK(result.finish == HONE_FINISH_LENGTH);
        hone_result_release(&result);
        hone_session_close(s);
    }
}

static void load_cases(lm *l) {
    const json_t *cases = json_object_get(l->g->json, "cases");
    l->n_cases = json_array_size(cases);
    l->cases = calloc(l->n_cases + 1, sizeof *l->cases);
    for (size_t i = 0; i < l->n_cases; i++) {
        const json_t *row = json_array_get(cases, i);
        l->cases[i].ids = golden_ids(json_object_get(row, "ids"), &l->cases[i].n_ids);
        l->cases[i].greedy = golden_ids(json_object_get(row, "greedy_ids"), &l->cases[i].n_greedy);
    }
    l->atol = json_number_value(json_object_get(
        json_object_get(json_object_get(l->g->json, "tolerances"), "logits"), "atol"));
}

void check_language_model(const golden *g) {
    lm l = {.g = g};
    bool opened = false;
    RUN_NAMED("opens", opened = CHECK_OK(hone_model_open(&l.model, g->folder, NULL)));
    if (!opened) return;
    l.n_vocab = hone_model_describe(l.model)->n_vocab;
    load_cases(&l);
    RUN_NAMED("token ids and decoded text", tokenizer_matches(&l));
    RUN_NAMED("chats", chats_match(&l));
#define EACH_CASE(name, call) RUN_NAMED(name, for (size_t i = 0; i < l.n_cases; i++) call)
    EACH_CASE("logits at every prompt position", logits_match(&l, i));
    EACH_CASE("greedy continuations", greedy_matches(&l, i));
    EACH_CASE("generate gives the greedy text", generate_matches(&l, i, HONE_DRAFT_NONE));
    EACH_CASE("n-gram drafts change nothing", generate_matches(&l, i, HONE_DRAFT_NGRAM));
    EACH_CASE("a model's drafts change nothing", generate_matches(&l, i, HONE_DRAFT_MODEL));
    EACH_CASE("one token at a time, bit for bit", steps_of(&l, i, 1, 0));
    EACH_CASE("three tokens at a time, bit for bit", steps_of(&l, i, 3, 0));
    EACH_CASE("chunks of seven, bit for bit", steps_of(&l, i, l.cases[i].n_ids, 7));
    EACH_CASE("forked in the middle, bit for bit", forked_in_the_middle(&l, i));
    EACH_CASE("prefix reused, bit for bit", prefix_reused(&l, i));
    EACH_CASE("scores are the logits' log-softmax", scores_agree(&l, i));
    EACH_CASE("the prompt's tokens scored", prompts_are_scored(&l, i));
    RUN_NAMED("hidden states", states_match(&l));
    EACH_CASE("embeddings are the states' mean", embeddings_are_means(&l, i));
    RUN_NAMED("batched as alone, bit for bit", batched_as_alone(&l));
    RUN_NAMED("one thread, bit for bit", threads_agree(&l, 1));
    RUN_NAMED("three threads, bit for bit", threads_agree(&l, 3));
    printf("largest deviation of a logit: %.3g (allowed %.3g)\n", l.largest, l.atol);
    for (size_t i = 0; i < l.n_cases; i++) {
        free(l.cases[i].ids);
        free(l.cases[i].greedy);
        free(l.cases[i].logits);
    }
    free(l.cases);
    hone_model_close(l.model);
}
