/* Selectors on answers that are right with a known probability: how often they are right themselves
 * lies where theory says.
 *
 * Each of N_CELLS selectors is tried with the seeds 1 … N_SEEDS, whatever these bring. Every seed's
 * count and the count of all together is held against the binomial distribution (exact tails, both
 * sides), at FALSE_ALARMS divided by the number of all counts that are looked at: were the
 * selectors right and the seeds drawn anew, one such run in a million would fail. A selector that
 * errs by three points in a hundred is found. */
#include "base/philox.h"
#include "strategy_script.h"
#include "test.h"

enum { N_CELLS = 8, N_SEEDS = 20, TRIALS = 500, ALL_TRIALS = N_SEEDS * TRIALS, MAX_VOTES = 16 };

#define FALSE_ALARMS 1e-6 /* of a whole run */
#define LEVEL (FALSE_ALARMS / (N_CELLS * (N_SEEDS + 1)))

static size_t n_cells; /* that were looked at */

/* One trial of one seed. */
typedef struct throw {
    uint32_t seed, trial;
} throw;

/* Uniform in [0, 1). */
static double chance(throw t, size_t draw, uint32_t what) {
    const philox_block counter = {{t.trial, (uint32_t)draw, what, t.seed}};
    return ldexp(philox4x32(counter, 2).word[0], -32);
}

/* Fills the script of one trial. */
typedef void fill_script(script *s, throw t, size_t n);

typedef struct played {
    size_t n_right[N_SEEDS]; /* of TRIALS each */
    size_t n_draws;          /* in all */
} played;

static played play_trials(const char *expression, size_t n, fill_script *fill) {
    played p = {{0}, 0};
    for (uint32_t i = 0; i < N_SEEDS * TRIALS; i++) {
        throw t = {1 + i / TRIALS, i % TRIALS};
        script s = {.texts = {NULL}};
        fill(&s, t, n);
        hone_strategy_result r = play(&s, expression);
        p.n_right[t.seed - 1] += r.text && strstr(r.text, "right") != NULL;
        p.n_draws += r.n_draws;
        hone_strategy_result_release(&r);
    }
    return p;
}

static double binomial(size_t n, size_t k, double p) {
    return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) +
               (double)k * log(p) + (double)(n - k) * log1p(-p));
}

/* How probable a count is that is at least as far to its side as this one, twice. */
static double two_sided(size_t n, size_t n_right, double p) {
    double below = 0, above = 0;
    for (size_t k = 0; k <= n; k++) {
        double mass = binomial(n, k, p);
        if (k <= n_right) below += mass;
        if (k >= n_right) above += mass;
    }
    return 2 * (below < above ? below : above);
}

static void check_count(const char *what, int seed, size_t n_right, size_t n, double expected) {
    double chances = two_sided(n, n_right, expected);
    CHECK_MSG(chances >= LEVEL,
              "%s, seed %d (0: all): %zu of %zu right, in theory a share of %.4f: so far off once in "
              "%.3g", what, seed, n_right, n, expected, 1 / chances);
}

static void check_share(const char *what, const played *p, double expected) {
    size_t n_right = 0;
    for (int i = 0; i < N_SEEDS; i++) {
        check_count(what, i + 1, p->n_right[i], TRIALS, expected);
        n_right += p->n_right[i];
    }
    check_count(what, 0, n_right, ALL_TRIALS, expected);
    n_cells++;
}

static void a_selector_that_errs_would_be_found(void) {
    size_t expected = ALL_TRIALS * 6 / 10, off = ALL_TRIALS * 3 / 100;
    CHECK(two_sided(ALL_TRIALS, expected, 0.6) > 0.9);
    CHECK(two_sided(ALL_TRIALS, expected + off, 0.6) < LEVEL);
    CHECK(two_sided(ALL_TRIALS, expected - off, 0.6) < LEVEL);
    CHECK_NEAR(two_sided(10, 0, 0.5), 2.0 / 1024, 1e-12);
    CHECK_NEAR(two_sided(10, 9, 0.5), 22.0 / 1024, 1e-12);
}

/* --- votes --- */

#define P_RIGHT 0.6

static void answer_right_or_wrong(script *s, throw t, size_t n) {
    for (size_t k = 0; k < n; k++) s->texts[k] = chance(t, k, 0) < P_RIGHT ? "right" : "wrong";
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
    played three = play_trials("sample3 & vote", 3, answer_right_or_wrong),
           six = play_trials("sample6 & vote", 6, answer_right_or_wrong),
           nine = play_trials("sample9 & vote", 9, answer_right_or_wrong),
           first = play_trials("sample5 & first", 5, answer_right_or_wrong);
    check_share("3 votes", &three, majority(3, P_RIGHT));
    check_share("6 votes", &six, majority(6, P_RIGHT));
    check_share("9 votes", &nine, majority(9, P_RIGHT));
    check_share("the first", &first, P_RIGHT);
}

/* Three wrong answers that differ: the right one leads although most votes are wrong. */
static void answer_scattered(script *s, throw t, size_t n) {
    static const char *const wrong[] = {"one", "two", "three"};
    for (size_t k = 0; k < n; k++) {
        double x = chance(t, k, 1);
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
    played p = play_trials("sample5 & vote", 5, answer_scattered);
    check_share("5 votes of 4 answers", &p, plurality());
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
    check_share("sc16", &p, theory.right);
    /* draws come in waves of four, so that up to three more are begun than voted */
    double draws = (double)p.n_draws / ALL_TRIALS;
    CHECK_MSG(draws >= theory.votes - 0.4 && draws <= theory.votes + 3,
              "%.2f draws, %.2f votes in theory", draws, theory.votes);
    CHECK_MSG(draws < 14, "%.2f draws: nothing was saved", draws);
}

/* --- scores --- */

/* Right ones look right (0.9) four times of five, wrong ones one time of three; else 0.2. */
static void answer_with_score(script *s, throw t, size_t n) {
    static const char *const texts[2][3] = {{"wrong a", "wrong b", "wrong c"},
                                            {"right a", "right b", "right c"}};
    for (size_t k = 0; k < n; k++) {
        bool right = chance(t, k, 2) < 0.5;
        s->texts[k] = texts[right][k];
        s->p_yes[k] = chance(t, k, 3) < (right ? 0.8 : 1.0 / 3) ? 0.9 : 0.2;
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
    played three = play_trials("sample3 & ptrue", 3, answer_with_score),
           one = play_trials("sample1 & ptrue", 1, answer_with_score);
    check_share("P(True) of 3", &three, best_looking(3));
    check_share("P(True) of 1", &one, 0.5);
}

int main(void) {
    RUN(a_selector_that_errs_would_be_found);
    RUN(a_vote_is_right_as_often_as_a_majority);
    RUN(a_plurality_is_enough);
    RUN(self_consistency_stops_and_errs_as_theory_says);
    RUN(a_score_is_worth_what_it_tells);
    CHECK(n_cells == N_CELLS);
    return test_summary();
}
