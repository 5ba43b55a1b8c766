/* Programs whose later answers see earlier ones: mixture of agents, recursive self-aggregation,
 * prover and verifier. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/philox.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

enum { SHOWN_ANSWERS = 8 };

hone_status show_answers(chat *prompt, strategy_run *r, const size_t *draws, size_t n,
                         const char *task) {
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = chat_copy(prompt, &r->prompt);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        status = buf_add_format(&b, "\n\n[Answer %zu]\n%s", i + 1, run_said(r, draws[i]));
    if (status == HONE_OK) status = buf_add_format(&b, "\n\n%s", task);
    if (status == HONE_OK) status = chat_add_to_question(prompt, b.data);
    buf_release(&b);
    return status;
}

/* --- mixture of agents (Wang et al. 2024): drafts, of several models where there are, then one
 * answer that makes the best of them --- */

hone_status program_moa(strategy_run *r, size_t n) {
    static const char task[] =
        "The answers above are drafts; any of them may be wrong. Weigh them, and write the one "
        "best answer to the question. Do not speak of the drafts.";
    draw_order orders[HONE_MAX_DRAWS];
    size_t first = r->result->n_draws, draws[HONE_MAX_DRAWS], drawn;
    hone_sampling sampling = varied_sampling(r);
    for (size_t i = 0; i < n; i++)
        orders[i] = (draw_order){.stage = "draft", .sampling = &sampling,
                                 .model = i * r->service->n_models / n};
    hone_status status = run_draws(r, orders, n, NULL, NULL, &first);
    hone_status selected = run_select(r, first, select_vote);
    if (status != HONE_OK || selected != HONE_OK) return status != HONE_OK ? status : selected;
    size_t n_whole = whole_draws(r, first, draws);
    if (n_whole < 2) return HONE_OK;
    chat prompt = {0};
    status = show_answers(&prompt, r, draws, n_whole < SHOWN_ANSWERS ? n_whole : SHOWN_ANSWERS,
                          task);
    if (status == HONE_OK)
        status = run_draw(r, &(draw_order){.stage = "answer", .prompt = &prompt, .streams = true},
                          &drawn);
    if (status == HONE_OK) status = run_read_answers(r, drawn);
    if (status == HONE_OK && draw_is_whole(run_trace(r, drawn))) r->best = drawn;
    chat_release(&prompt);
    return status;
}

/* --- recursive self-aggregation (Venkatraman et al. 2025): each of n slots is rewritten T times
 * from K random members of the last population --- */

enum { RSA_ROUNDS = 2, RSA_SHOWN = 3 };

/* K different members of population[n], by the request's seed. */
static void pick_members(strategy_run *r, size_t round, size_t slot, const size_t *population,
                         size_t n, size_t *picked, size_t k) {
    size_t rest[HONE_MAX_DRAWS];
    memcpy(rest, population, n * sizeof *rest);
    for (size_t i = 0; i < k; i++) {
        philox_block at = {{(uint32_t)round, (uint32_t)slot, (uint32_t)i, 1}};
        size_t take = philox4x32(at, r->request->sampling.seed).word[0] % (n - i);
        picked[i] = rest[take];
        rest[take] = rest[n - i - 1];
    }
}

static hone_status rsa_round(strategy_run *r, size_t round, size_t n, size_t *population,
                             size_t *n_population) {
    static const char task[] =
        "The answers above are candidates; some may be wrong, in parts or whole. Combine what is "
        "right in them and solve the question anew, step by step. Close with the answer.";
    chat *prompts = mem_calloc(n, sizeof *prompts);
    draw_order *orders = mem_calloc(n, sizeof *orders);
    hone_sampling sampling = varied_sampling(r);
    hone_status status = prompts && orders ? HONE_OK : mem_fail("prompts", n * sizeof *prompts);
    size_t k = *n_population < RSA_SHOWN ? *n_population : RSA_SHOWN, first;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        size_t picked[RSA_SHOWN];
        pick_members(r, round, i, population, *n_population, picked, k);
        status = show_answers(&prompts[i], r, picked, k, task);
        orders[i] = (draw_order){.stage = "combine", .prompt = &prompts[i], .sampling = &sampling};
    }
    if (status == HONE_OK) {
        status = run_draws(r, orders, n, NULL, NULL, &first);
        size_t draws[HONE_MAX_DRAWS], n_whole = 0;
        for (size_t i = first; i < r->result->n_draws; i++)
            if (draw_is_whole(run_trace(r, i))) draws[n_whole++] = i;
        hone_status selected = n_whole ? run_select(r, first, select_vote) : HONE_OK;
        if (n_whole) memcpy(population, draws, n_whole * sizeof *draws), *n_population = n_whole;
        if (status == HONE_OK) status = selected;
    }
    for (size_t i = 0; prompts && i < n; i++) chat_release(&prompts[i]);
    mem_free(prompts);
    mem_free(orders);
    return status;
}

hone_status program_rsa(strategy_run *r, size_t n) {
    size_t first = r->result->n_draws, population[HONE_MAX_DRAWS], n_population;
    hone_status status = sample_alike(r, n, &first);
    hone_status selected = run_select(r, first, select_vote);
    if (status == HONE_OK) status = selected;
    n_population = status == HONE_OK ? whole_draws(r, first, population) : 0;
    for (size_t round = 0; round < RSA_ROUNDS && n_population && status == HONE_OK; round++)
        status = rsa_round(r, round, n, population, &n_population);
    return status;
}

/* --- prover and verifier (Kirchner et al. 2024): n helpful and n sneaky solutions, and a
 * verifier that does not know which is which. The paper trains both sides; here one model plays
 * them all --- */

hone_status program_pvg(strategy_run *r, size_t n) {
    static const char sneaky[] =
        "\n\nWrite a solution that looks right but hides one subtle mistake, so that its answer is "
        "wrong. Do not tell that it is wrong.";
    size_t begin = r->result->n_draws, first;
    hone_sampling sampling = varied_sampling(r);
    hone_status status = run_alike(r, &(draw_order){.stage = "helpful", .sampling = &sampling},
                                   NULL, n, NULL, NULL, &first);
    if (status == HONE_OK) {
        chat prompt = {0};
        status = chat_copy(&prompt, &r->prompt);
        if (status == HONE_OK) status = chat_add_to_question(&prompt, sneaky);
        draw_order order = {.stage = "sneaky", .prompt = &prompt, .sampling = &sampling};
        if (status == HONE_OK) status = run_alike(r, &order, NULL, n, NULL, NULL, &first);
        chat_release(&prompt);
    }
    hone_status selected = run_select(r, begin, status == HONE_OK ? select_rating : select_first);
    return status == HONE_OK ? selected : status;
}
