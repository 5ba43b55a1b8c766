/* Selectors on answers that are right with a known probability: how often they are right themselves
 * lies where theory says. */
#include "base/philox.h"
#include "strategy_script.h"
#include "test.h"

enum { TRIALS = 3000, MAX_VOTES = 16 };

/* Uniform in [0, 1); the same every time. */
static double chance(uint32_t trial, uint32_t draw, uint32_t what) {
    return ldexp(philox4x32((philox_block){{trial, draw, what, 0}}, 2).word[0], -32);
}

/* Fills the script of one trial. */
typedef void fill_script(script *s, uint32_t trial, size_t n);

typedef struct played {
    size_t n_right, n_draws; /* of TRIALS; in all */
} played;

static played play_trials(const char *expression, size_t n, fill_script *fill) {
    played p = {0, 0};
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        script s = {.texts = {NULL}};
        fill(&s, trial, n);
        hone_strategy_result r = play(&s, expression);
        p.n_right += r.text && strstr(r.text, "right") != NULL;
        p.n_draws += r.n_draws;
        hone_strategy_result_release(&r);
    }
    return p;
}

/* 99.9 % of all such runs come so near. */
static void check_share(const char *what, size_t n_right, double expected) {
    double seen = (double)n_right / TRIALS, width = 3.29 * sqrt(expected * (1 - expected) / TRIALS);
    CHECK_MSG(fabs(seen - expected) <= width, "%s: %.4f, in theory %.4f ± %.4f", what, seen,
              expected, width);
}

/* --- votes --- */

#define P_RIGHT 0.6

static void answer_right_or_wrong(script *s, uint32_t trial, size_t n) {
    for (size_t k = 0; k < n; k++)
        s->texts[k] = chance(trial, (uint32_t)k, 0) < P_RIGHT ? "right" : "wrong";
}

static double binomial(size_t n, size_t k, double p) {
    return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1)) *
           pow(p, (double)k) * pow(1 - p, (double)(n - k));
}

/* Of a tie half the orders begin with the right one (it goes to who came first). */
static double majority(size_t n, double p) {
    double sum = 0;
    for (size_t k = 0; k <= n; k++)
        sum += binomial(n, k, p) * (2 * k > n ? 1 : 2 * k == n ? 0.5 : 0);
    return sum;
}

static void a_vote_is_right_as_often_as_a_majority(void) {
    CHECK_NEAR(majority(3, 0.75), 0.84375, 1e-9);
    check_share("3 votes", play_trials("sample3 & vote", 3, answer_right_or_wrong).n_right,
                majority(3, P_RIGHT));
    check_share("6 votes", play_trials("sample6 & vote", 6, answer_right_or_wrong).n_right,
                majority(6, P_RIGHT));
    check_share("9 votes", play_trials("sample9 & vote", 9, answer_right_or_wrong).n_right,
                majority(9, P_RIGHT));
    check_share("the first", play_trials("sample5 & first", 5, answer_right_or_wrong).n_right,
                P_RIGHT);
}

/* Three wrong answers that differ: the right one leads although most votes are wrong. */
static void answer_scattered(script *s, uint32_t trial, size_t n) {
    static const char *const wrong[] = {"one", "two", "three"};
    for (size_t k = 0; k < n; k++) {
        double x = chance(trial, (uint32_t)k, 1);
        s->texts[k] = x < 0.4 ? "right" : wrong[(int)((x - 0.4) / 0.2) % 3];
    }
}

/* Every table of 5 draws over 4 answers, with the rule of ties. */
static double plurality(void) {
    static const double p[] = {0.4, 0.2, 0.2, 0.2};
    double sum = 0;
    for (int code = 0; code < 4 * 4 * 4 * 4 * 4; code++) {
        int count[4] = {0}, first[4] = {9, 9, 9, 9}, best = 0;
        double mass = 1;
        for (int k = 0, left = code; k < 5; k++, left /= 4) {
            int a = left % 4;
            mass *= p[a];
            count[a]++;
            if (first[a] == 9) first[a] = k;
        }
        for (int a = 1; a < 4; a++)
            if (count[a] > count[best] || (count[a] == count[best] && first[a] < first[best]))
                best = a;
        sum += best == 0 ? mass : 0;
    }
    return sum;
}

static void a_plurality_is_enough(void) {
    check_share("5 votes of 4 answers", play_trials("sample5 & vote", 5, answer_scattered).n_right,
                plurality());
}

/* --- adaptive self-consistency --- */

/* What `sc16` does with two answers: after each vote it stops where the rest cannot change it, or
 * where the lead holds with 0.95. */
typedef struct race {
    double right, votes; /* probability of a right answer; expected votes until the stop */
} race;

static bool race_is_over(size_t a, size_t b) {
    size_t leader = a > b ? a : b, second = a > b ? b : a, left = MAX_VOTES - a - b;
    double below = 0; /* P(at most `second` heads in leader + second + 1 throws) */
    for (size_t i = 0; i <= second; i++) below += binomial(leader + second + 1, i, 0.5);
    return left == 0 || leader > second + left || 1 - below >= 0.95;
}

static race run_race(size_t a, size_t b, bool right_first) {
    if (a + b && race_is_over(a, b))
        return (race){a > b || (a == b && right_first), (double)(a + b)};
    bool begins = a + b == 0;
    race x = run_race(a + 1, b, begins || right_first),
         y = run_race(a, b + 1, !begins && right_first);
    return (race){P_RIGHT * x.right + (1 - P_RIGHT) * y.right,
                  P_RIGHT * x.votes + (1 - P_RIGHT) * y.votes};
}

static void self_consistency_stops_and_errs_as_theory_says(void) {
    race theory = run_race(0, 0, false);
    played p = play_trials("sc16", 16, answer_right_or_wrong);
    check_share("sc16", p.n_right, theory.right);
    /* draws come in waves of four, so that up to three more are begun than voted */
    double draws = (double)p.n_draws / TRIALS;
    CHECK_MSG(draws >= theory.votes - 0.4 && draws <= theory.votes + 3,
              "%.2f draws, %.2f votes in theory", draws, theory.votes);
    CHECK_MSG(draws < 14, "%.2f draws: nothing was saved", draws);
}

/* --- scores --- */

/* Right ones look right (0.9) four times of five, wrong ones one time of three; else 0.2. */
static void answer_with_score(script *s, uint32_t trial, size_t n) {
    static const char *const texts[2][3] = {{"wrong a", "wrong b", "wrong c"},
                                            {"right a", "right b", "right c"}};
    for (size_t k = 0; k < n; k++) {
        bool right = chance(trial, (uint32_t)k, 2) < 0.5;
        s->texts[k] = texts[right][k];
        s->p_yes[k] = chance(trial, (uint32_t)k, 3) < (right ? 0.8 : 1.0 / 3) ? 0.9 : 0.2;
    }
}

/* The first of those that look right, else the first of all. */
static double best_looking(size_t n) {
    double looks = 0.5 * 0.8 + 0.5 / 3, right_of_looking = 0.5 * 0.8 / looks,
           right_of_others = 0.5 * 0.2 / (1 - looks);
    double none = pow(1 - looks, (double)n);
    return (1 - none) * right_of_looking + none * right_of_others;
}

static void a_score_is_worth_what_it_tells(void) {
    check_share("P(True) of 3", play_trials("sample3 & ptrue", 3, answer_with_score).n_right,
                best_looking(3));
    check_share("P(True) of 1", play_trials("sample1 & ptrue", 1, answer_with_score).n_right, 0.5);
}

int main(void) {
    RUN(a_vote_is_right_as_often_as_a_majority);
    RUN(a_plurality_is_enough);
    RUN(self_consistency_stops_and_errs_as_theory_says);
    RUN(a_score_is_worth_what_it_tells);
    return test_summary();
}
