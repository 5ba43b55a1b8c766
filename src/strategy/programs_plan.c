/* Programs that write something down before they answer: PlanSearch and LEAP. */
#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

/* Lines of a text, without numbers and bullets; empty and one-word ones are left out. */
enum { MAX_LINES = 12 };

typedef struct line {
    const char *at;
    size_t n;
} line;

static size_t read_lines(const char *text, line *lines) {
    size_t n = 0;
    for (const char *p = text; *p && n < MAX_LINES;) {
        size_t length = strcspn(p, "\n");
        const char *at = p, *end = p + length;
        while (at < end && (isspace((unsigned char)*at) || isdigit((unsigned char)*at) ||
                            strchr("-*.)(", *at)))
            at++;
        while (end > at && isspace((unsigned char)end[-1])) end--;
        if (end > at && memchr(at, ' ', (size_t)(end - at)))
            lines[n++] = (line){at, (size_t)(end - at)};
        p += length + (p[length] == '\n');
    }
    return n;
}

/* A copy of the prompt with a text behind the question. */
static hone_status prompt_with(chat *prompt, strategy_run *r, const char *text) {
    TRY(chat_copy(prompt, &r->prompt));
    hone_status status = chat_add_to_question(prompt, text);
    if (status != HONE_OK) chat_release(prompt);
    return status;
}

/* One draw to the prompt with that text. */
static hone_status ask_with(strategy_run *r, const char *stage, const char *text, size_t *draw) {
    chat prompt;
    hone_sampling sampling = varied_sampling(r);
    TRY(prompt_with(&prompt, r, text));
    hone_status status = run_draw(r, &(draw_order){.stage = stage, .prompt = &prompt,
                                                   .sampling = &sampling, .free_form = true}, draw);
    chat_release(&prompt);
    return status;
}

/* --- PlanSearch (Wang et al. 2024): observations about the problem, subsets of them, an answer
 * from each subset. The paper's second level (observations derived from subsets) is one draw --- */

/* The i-th subset of at most two of n lines: none, the single ones, the pairs. */
static size_t subset(size_t i, size_t n, size_t picked[2]) {
    if (i == 0) return 0;
    if (i <= n) {
        picked[0] = i - 1;
        return 1;
    }
    i -= n + 1;
    for (size_t a = 0; a + 1 < n; a++) {
        if (i < n - 1 - a) {
            picked[0] = a;
            picked[1] = a + 1 + i;
            return 2;
        }
        i -= n - 1 - a;
    }
    return 0;
}

static hone_status subset_prompt(chat *prompt, strategy_run *r, const line *lines, size_t n,
                                 size_t i) {
    size_t picked[2], n_picked = subset(i, n, picked);
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = buf_add_text(&b, n_picked ? "\n\nObservations that may help:" : "");
    for (size_t k = 0; k < n_picked && status == HONE_OK; k++)
        status = buf_add_format(&b, "\n- %.*s", (int)lines[picked[k]].n, lines[picked[k]].at);
    if (status == HONE_OK)
        status = buf_add_text(&b,
                              "\n\nWrite the plan of a solution in a few sentences, then carry it "
                              "out and close with the answer.");
    if (status == HONE_OK) status = prompt_with(prompt, r, b.data);
    buf_release(&b);
    return status;
}

static hone_status search_plans(strategy_run *r, const line *lines, size_t n_lines, size_t n,
                                size_t *first) {
    chat *prompts = mem_calloc(n, sizeof *prompts);
    draw_order *orders = mem_calloc(n, sizeof *orders);
    hone_sampling sampling = varied_sampling(r);
    hone_status status = prompts && orders ? HONE_OK : mem_fail("prompts", n * sizeof *prompts);
    size_t n_subsets = 1 + n_lines + (n_lines ? n_lines * (n_lines - 1) / 2 : 0);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        status = subset_prompt(&prompts[i], r, lines, n_lines, i % n_subsets);
        orders[i] = (draw_order){.stage = "answer", .prompt = &prompts[i], .sampling = &sampling};
    }
    if (status == HONE_OK) status = run_draws(r, orders, n, NULL, NULL, first);
    for (size_t i = 0; prompts && i < n; i++) chat_release(&prompts[i]);
    mem_free(prompts);
    mem_free(orders);
    return status;
}

hone_status program_plansearch(strategy_run *r, size_t n) {
    size_t noted, derived, first = r->result->n_draws;
    line lines[MAX_LINES];
    buf b;
    TRY(ask_with(r, "observations",
                 "\n\nDo not solve this yet. List three short observations that are not obvious "
                 "and may help to solve it, one a line.", &noted));
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = buf_add_format(&b,
                                        "\n\nObservations:\n%s\n\nDo not solve this yet. List two "
                                        "further observations that follow from these, one a line.",
                                        run_said(r, noted));
    if (status == HONE_OK) status = ask_with(r, "derived", b.data, &derived);
    b.len = 0;
    if (status == HONE_OK)
        status = buf_add_format(&b, "%s\n%s", run_said(r, noted),
                                run_said(r, derived));
    size_t n_lines = status == HONE_OK ? read_lines(b.data, lines) : 0;
    if (status == HONE_OK) status = search_plans(r, lines, n_lines, n, &first);
    buf_release(&b);
    hone_status selected = status == HONE_OK || status == HONE_ERR_CANCELLED
        ? run_select(r, first, status == HONE_OK && r->options->check ? select_check : select_vote)
        : HONE_OK;
    return status == HONE_OK ? selected : status;
}

/* --- LEAP (Zhang et al. 2024): mistakes made on the examples in the conversation, lessons drawn
 * from them, an answer that heeds the lessons --- */

enum { MAX_EXAMPLES = 3 };

typedef struct example {
    const hone_message *question, *answer;
} example;

static bool is_role(const hone_message *m, const char *role) { return !strcmp(m->role, role); }

/* Earlier turns: a user's message with the assistant's behind it. */
static size_t find_examples(const hone_request *q, example *examples) {
    size_t n = 0;
    for (size_t i = 0; i + 1 < q->n_messages && n < MAX_EXAMPLES; i++)
        if (is_role(&q->messages[i], "user") && is_role(&q->messages[i + 1], "assistant"))
            examples[n++] = (example){&q->messages[i], &q->messages[i + 1]};
    return n;
}

static hone_status add_message_text(buf *b, const hone_message *m) {
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == HONE_PART_TEXT)
            TRY(buf_add(b, m->parts[i].data, m->parts[i].n_bytes));
    return HONE_OK;
}

static hone_status learn(strategy_run *r, const example *e, buf *lessons) {
    size_t tried, learned;
    hone_sampling sampling = varied_sampling(r);
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = add_message_text(&b, e->question);
    if (status == HONE_OK)
        status = run_fresh(r, "attempt", b.data ? b.data : "", &sampling, &tried);
    if (status == HONE_OK)
        status = buf_add_format(&b, "\n\nAn answer that was given:\n%s\n\nThe right answer:\n",
                                run_said(r, tried));
    if (status == HONE_OK) status = add_message_text(&b, e->answer);
    if (status == HONE_OK)
        status = buf_add_text(&b, "\n\nSay in one general sentence what to heed, so that such a "
                                  "question is answered rightly.");
    if (status == HONE_OK) status = run_fresh(r, "lesson", b.data, &sampling, &learned);
    if (status == HONE_OK) {
        line lines[MAX_LINES];
        if (read_lines(run_said(r, learned), lines))
            status = buf_add_format(lessons, "- %.*s\n", (int)lines[0].n, lines[0].at);
    }
    buf_release(&b);
    return status;
}

hone_status program_leap(strategy_run *r, size_t n) {
    example examples[MAX_EXAMPLES];
    size_t n_examples = find_examples(r->request, examples);
    if (n_examples == 0)
        return fail(HONE_ERR_UNSUPPORTED, "LEAP learns from examples: earlier turns of a user with "
                    "the right answers as the assistant's");
    buf lessons;
    buf_init(&lessons, SIZE_MAX / 2);
    hone_status status = buf_add_text(&lessons, "Heed these principles:\n");
    for (size_t i = 0; i < n_examples && status == HONE_OK; i++)
        status = learn(r, &examples[i], &lessons);
    if (status == HONE_OK) status = chat_add_system(&r->prompt, lessons.data);
    buf_release(&lessons);
    return status == HONE_OK ? program_none(r, n) : status;
}
