/* Telling what a strategy did (cli/trace.h). */
#include "cli/trace.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/output.h"

enum { SHOWN_ANSWER_BYTES = 28, SHOWN_FAULT_BYTES = 160 };

/* The answer on one line, cut where it is long; "–" where there is none. */
static void print_answer(FILE *out, const char *answer, int most) {
    char *text = answer ? cli_printable(answer) : NULL;
    int n = text ? (int)strcspn(text, "\n") : 0;
    bool cut = text && (text[n] || n > most);
    if (n > most)
        for (n = most; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80; n--) {}
    fprintf(out, "%.*s%s", n, text ? text : "", cut ? "…" : text ? "" : "–");
    mem_free(text);
}

static bool has_several_models(const hone_strategy_result *t) {
    for (size_t i = 0; i < t->n_draws; i++)
        if (t->draws[i].model > 0) return true;
    return false;
}

static void print_draw(FILE *out, const hone_strategy_result *t, size_t i, bool models) {
    const hone_draw *d = &t->draws[i];
    char score[16] = "–";
    if (!isnan(d->score)) snprintf(score, sizeof score, "%.3f", d->score);
    fprintf(out, "%s%4zu  ", i == t->chosen ? "→" : " ", i + 1);
    if (models) fprintf(out, "%5zu  ", d->model + 1);
    fprintf(out, "%-10s %5.2f %7zu  %-7s %7s %8.2f  ", d->stage, d->temperature, d->n_tokens,
            hone_draw_end_name(d->end), score, d->ms / 1000);
    if (d->fault) print_answer(out, d->fault, SHOWN_FAULT_BYTES);
    else print_answer(out, d->answer, SHOWN_ANSWER_BYTES);
    fputc('\n', out);
}

void trace_print(FILE *out, const hone_strategy_result *t) {
    bool models = has_several_models(t);
    fprintf(out, "\n%s draw  %sstage      temp.  tokens  end       score  seconds  answer%s\n",
            cli_colour_code(out, CLI_BOLD), models ? "model  " : "",
            cli_colour_code(out, CLI_PLAIN));
    for (size_t i = 0; i < t->n_draws; i++) print_draw(out, t, i, models);
    if (t->n_votes) fprintf(out, "votes:");
    for (size_t i = 0; i < t->n_votes; i++) {
        fputs(i ? ", " : " ", out);
        print_answer(out, t->votes[i].answer, SHOWN_ANSWER_BYTES);
        fprintf(out, " %zu", t->votes[i].n);
        if (t->votes[i].weight != (double)t->votes[i].n)
            fprintf(out, " (%.3f)", t->votes[i].weight);
    }
    if (t->n_votes) fputc('\n', out);
    if (t->n_draws)
        fprintf(out, "seed %llu; draw k is random stream k − 1 of it\n",
                (unsigned long long)t->draws[0].seed);
    fprintf(out, "ended: %s; computed %zu tokens of prompts and %zu of answers in %.2f s\n",
            t->stop_reason, t->n_prefill_tokens, t->n_decode_tokens, t->seconds);
}

json_t *trace_to_json(const hone_strategy_result *t) {
    char *text;
    if (hone_strategy_trace(t, &text) != HONE_OK) return NULL;
    json_t *trace = json_loads(text, 0, NULL);
    hone_free(text);
    return trace;
}
