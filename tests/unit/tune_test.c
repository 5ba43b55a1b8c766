/* Tuning on a machine that is made of numbers: known speeds, noise, and a clock that runs take. */
#include "lab/tune.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/philox.h"
#include "lab/profile.h"
#include "lab/race.h"
#include "lab/tune_journal.h"
#include "test.h"

/* --- a race --- */

typedef struct arena {
    double speed[RACE_MAX_CONTESTANTS]; /* runs a second */
    double noise;                       /* of the logarithm, evenly within ± */
    double drift;                       /* all get slower by that with each run */
    double now, latest_deadline;
    uint64_t seed;
    uint32_t n_runs;
    size_t n_of[RACE_MAX_CONTESTANTS], stop_after;
} arena;

static double draw(arena *a) {
    uint32_t random = philox4x32((philox_block){{a->n_runs, 7, 0, 0}}, a->seed).word[0];
    return a->noise * (2.0 * random / 4294967296.0 - 1);
}

static hone_status measure(void *context, size_t contestant, size_t round, double *values) {
    arena *a = context;
    (void)round;
    if (a->stop_after && a->n_runs >= a->stop_after) return fail(HONE_ERR_CANCELLED, "stopped");
    double speed = a->speed[contestant] * exp(draw(a) - a->drift * a->n_runs);
    a->now += 1000 / speed;
    a->n_runs++;
    a->n_of[contestant]++;
    values[0] = log(speed);
    return HONE_OK;
}

static double now_of(void *context) { return ((arena *)context)->now; }

static race make_race(arena *a, size_t n, double budget_ms) {
    return (race){.n = n, .measure = measure, .n_values = 1, .least = 0.01, .clock = now_of,
                  .deadline = a->now + budget_ms, .guess_ms = 1000 / a->speed[0], .context = a};
}

static void the_fastest_of_many_is_found_within_the_time(void) {
    int found = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        arena a = {.speed = {10, 7, 10.4, 9, 12, 10, 8, 5}, .noise = 0.05, .seed = seed};
        race r = make_race(&a, 8, 20000);
        race_result out;
        CHECK_OK(race_run(&r, &out));
        CHECK_MSG(a.now <= r.deadline, "seed %d: %g of %g", (int)seed, a.now, r.deadline);
        found += out.best == 4 && out.verdict == RACE_BETTER && out.gain.low > 0 &&
                 fabs(exp(out.gain.value) - 1.2) < 0.05;
    }
    CHECK_MSG(found >= 48, "%d of 50", found);
}

static void twins_have_no_measurable_effect(void) {
    int none = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        arena a = {.speed = {10, 10, 10, 10}, .noise = 0.1, .seed = seed};
        race r = make_race(&a, 4, 8000);
        race_result out;
        CHECK_OK(race_run(&r, &out));
        none += out.verdict == RACE_NO_EFFECT;
    }
    CHECK_MSG(none >= 185, "%d of 200", none); /* intervals of 95 % */
}

static void a_machine_that_slows_down_misleads_nobody(void) {
    arena a = {.speed = {10, 10}, .noise = 0.02, .drift = 0.01};
    race r = make_race(&a, 2, 10000);
    race_result out;
    CHECK_OK(race_run(&r, &out));
    CHECK(out.verdict == RACE_NO_EFFECT);
    arena b = {.speed = {10, 11}, .noise = 0.02, .drift = 0.01};
    r = make_race(&b, 2, 10000);
    CHECK_OK(race_run(&r, &out));
    CHECK(out.verdict == RACE_BETTER);
}

static void slower_is_worse_and_less_than_a_hundredth_is_nothing(void) {
    arena a = {.speed = {10, 8}, .noise = 0.02};
    race r = make_race(&a, 2, 10000);
    race_result out;
    CHECK_OK(race_run(&r, &out));
    CHECK(out.verdict == RACE_WORSE && out.gain.high < 0);
    arena b = {.speed = {10, 10.05}, .noise = 0.0001};
    r = make_race(&b, 2, 10000);
    CHECK_OK(race_run(&r, &out));
    CHECK(out.verdict == RACE_NO_EFFECT && out.gain.low > 0);
}

/* Whatever the speeds, and also where one is ten times slower than it was to be thought. */
static void no_time_is_exceeded(void) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        double budget = 300.0 * (double)(seed + 1);
        arena a = {.speed = {10, 1, 20, 5, 10}, .noise = 0.05, .seed = seed};
        race r = make_race(&a, 5, budget);
        race_result out;
        CHECK_OK(race_run(&r, &out));
        /* what nothing is known of may take longer than three times the incumbent's time */
        CHECK_MSG(a.now <= budget + 1100, "%g of %g", a.now, budget);
        if (budget < 1000) CHECK(out.verdict == RACE_UNSETTLED);
    }
}

static void rounds_end_where_the_work_does(void) {
    arena a = {.speed = {10, 12}, .noise = 0.02};
    race r = make_race(&a, 2, 100000);
    race_result out;
    r.most_rounds = 12;
    CHECK_OK(race_run(&r, &out));
    CHECK(a.n_of[0] == 12 && a.n_of[1] == 12 && out.verdict == RACE_BETTER);
    a = (arena){.speed = {10, 12}, .noise = 0.02};
    r = make_race(&a, 2, 100000);
    r.most_rounds = 6;
    CHECK_OK(race_run(&r, &out));
    CHECK(out.verdict == RACE_UNSETTLED && a.n_of[0] <= 6);
}

/* --- all knobs --- */

/* Two threads are best of four, drafts cost, the cache type does nothing; q8_0 may be forbidden. */
typedef struct world {
    double now, noise;
    uint32_t n_runs, stop_after;
    uint64_t seed;
    bool forbid_q8;
    double turns_at; /* from then on two threads are slow; 0 = never */
} world;

static double true_speed(const tune_config *c) {
    double speed = c->n_threads == 2 ? 30 : c->n_threads == 4 ? 24 : c->n_threads == 3 ? 27 : 15;
    return speed * (c->n_draft ? 0.9 : 1) * (c->prefill_chunk == 1024 ? 1.1 : 1);
}

static hone_status run_world(void *context, const tune_config *c, tune_place place,
                             double *values) {
    world *w = context;
    (void)place;
    if (w->stop_after && w->n_runs >= w->stop_after) return fail(HONE_ERR_CANCELLED, "stopped");
    uint32_t random = philox4x32((philox_block){{w->n_runs++, 9, 0, 0}}, w->seed).word[0];
    double truth = w->turns_at > 0 && w->now > w->turns_at && c->n_threads == 2 ? 12
                                                                                : true_speed(c);
    double speed = truth * exp(w->noise * (2.0 * random / 4294967296.0 - 1));
    w->now += 3000 / speed;
    values[0] = log(speed);
    return HONE_OK;
}

static double world_clock(void *context) { return ((world *)context)->now; }

static hone_status world_allows(void *context, const tune_config *c, bool *allowed, char why[96]) {
    const world *w = context;
    *allowed = !(w->forbid_q8 && c->kv != HONE_KV_F16);
    if (!*allowed) strcpy(why, "needs more than there is");
    return HONE_OK;
}

static tune_meter make_meter(world *w) {
    return (tune_meter){.context = w, .measure = run_world, .clock = world_clock, .allow = world_allows,
                        .n_values = 1, .guess_ms = 125};
}

static const tune_config usual = {.n_threads = 4, .n_slots = 1, .prefill_chunk = 512,
                                  .n_context = 1024, .sampling = {.temperature = 0.8f, .top_p = 1,
                                                                  .repetition_penalty = 1}};

static tune_space make_space(tune_goal goal) {
    tune_space s = {.goal = goal, .models = {"one"}, .n_models = 1};
    tune_space_fill(&s, &usual, 4, 8);
    return s;
}

static const tune_step *find_step(const tune *t, tune_knob knob) {
    for (size_t i = 0; i < t->n_steps; i++)
        if (t->steps[i].knob == knob) return &t->steps[i];
    return NULL;
}

static void the_path_leads_to_the_best(void) {
    world w = {.noise = 0.03};
    tune_space space = make_space(TUNE_DECODE);
    tune_meter meter = make_meter(&w);
    tune t;
    tune_init(&t, &space, &usual, &meter);
    CHECK_OK(tune_run(&t, 60000));
    CHECK(w.now <= 60000 && t.spent_ms <= 60000 && !t.cancelled);
    const tune_step *threads = find_step(&t, TUNE_THREADS), *draft = find_step(&t, TUNE_DRAFT),
                    *kv = find_step(&t, TUNE_KV);
    CHECK(threads && threads->verdict == TUNE_BETTER && threads->from == 4 && threads->to == 2);
    CHECK_NEAR(threads->gain.value, 0.25, 0.04);
    CHECK(draft && draft->verdict == TUNE_WORSE);
    CHECK(kv && kv->verdict == TUNE_NO_EFFECT);
    CHECK(t.best.n_threads == 2 && t.best.n_draft == 0 && t.best.kv == HONE_KV_F16);
    CHECK(t.verdict == TUNE_BETTER && t.gain.low > 0 && t.gain.low <= 0.25 && t.gain.high >= 0.2);
    estimate before, after;
    CHECK_OK(tune_figure(&t, &usual, &before));
    CHECK_OK(tune_figure(&t, &t.best, &after));
    CHECK_NEAR(before.value, 24, 1);
    CHECK_NEAR(after.value, 30, 1);
    tune_release(&t);
}

static void a_budget_is_kept_however_short(void) {
    for (int seconds = 1; seconds <= 40; seconds += 3) {
        world w = {.noise = 0.05, .seed = (uint64_t)seconds};
        tune_space space = make_space(TUNE_TTFT);
        tune_meter meter = make_meter(&w);
        tune t;
        tune_init(&t, &space, &usual, &meter);
        CHECK_OK(tune_run(&t, seconds * 1000.0));
        CHECK_MSG(w.now <= seconds * 1000.0, "%g of %d s", w.now / 1000, seconds);
        if (seconds >= 16) CHECK_MSG(t.best.n_threads == 2, "%d s", seconds);
        tune_release(&t);
    }
}

static void what_is_not_allowed_is_not_tried(void) {
    world w = {.noise = 0.03, .forbid_q8 = true};
    tune_space space = make_space(TUNE_DECODE);
    tune_meter meter = make_meter(&w);
    tune t;
    tune_init(&t, &space, &usual, &meter);
    CHECK_OK(tune_run(&t, 60000));
    const tune_step *kv = find_step(&t, TUNE_KV);
    CHECK(kv && kv->verdict == TUNE_NOT_ALLOWED && !strcmp(kv->why, "needs more than there is"));
    for (size_t i = 0; i < t.n_samples; i++) CHECK(t.samples[i].config.kv == HONE_KV_F16);
    tune_release(&t);
}

static void what_does_not_last_is_withdrawn(void) {
    world w = {.noise = 0.03, .turns_at = 13000};
    tune_space space = make_space(TUNE_DECODE);
    tune_meter meter = make_meter(&w);
    tune t;
    tune_init(&t, &space, &usual, &meter);
    CHECK_OK(tune_run(&t, 60000));
    CHECK(find_step(&t, TUNE_THREADS)->verdict == TUNE_BETTER);
    CHECK(t.verdict == TUNE_WORSE && t.withdrawn && tune_same(&t.best, &usual));
    tune_release(&t);
}

static void what_was_found_before_the_end_stays(void) {
    world w = {.noise = 0.03, .stop_after = 100};
    tune_space space = make_space(TUNE_DECODE);
    tune_meter meter = make_meter(&w);
    tune t;
    tune_init(&t, &space, &usual, &meter);
    CHECK_OK(tune_run(&t, 60000));
    CHECK(t.cancelled && t.n_runs == 100 && t.n_steps >= 1 && t.best.n_threads == 2);
    tune_release(&t);
}

static void filters_are_not_turned_where_nothing_is_drawn(void) {
    world w = {.noise = 0.03};
    tune_space space = make_space(TUNE_QUALITY);
    tune_meter meter = make_meter(&w);
    tune_config greedy = usual;
    tune t;
    greedy.sampling.temperature = 0;
    tune_init(&t, &space, &greedy, &meter);
    CHECK_OK(tune_run(&t, 60000));
    CHECK(!find_step(&t, TUNE_TOP_P) && !find_step(&t, TUNE_TOP_K) &&
          find_step(&t, TUNE_REPEAT_PENALTY));
    tune_release(&t);
}

/* --- interruptions --- */

static char folder[64];

static void an_interrupted_tuning_goes_on_with_the_same_runs(void) {
    results *db;
    tune_journal *j;
    char path[96];
    int64_t id, found = -1;
    json_use_mem();
    json_t *settings = json_pack("{s:s}", "goal", "decode"),
           *others = json_pack("{s:s}", "goal", "ttft");
    const result_subject subject = {.role = "model", .name = "one", .hash = "ab"};
    const result_start start = {.kind = RESULT_TUNE, .subjects = &subject, .n_subjects = 1,
                                .settings = settings};
    snprintf(path, sizeof path, "%s/results.db", folder);
    if (!CHECK_OK(results_open(&db, path))) return;
    CHECK_OK(tune_journal_find(db, settings, &subject, 1, &found));
    CHECK(found == 0);
    CHECK_OK(results_begin(db, &start, &id));
    tune_space space = make_space(TUNE_DECODE);
    tune whole, again;

    world w = {.noise = 0.03, .stop_after = 100};
    tune_meter inner = make_meter(&w), meter;
    CHECK_OK(tune_journal_open(&j, &inner, db, id));
    CHECK_OK(tune_journal_keep_number(j, "work", 24));
    meter = tune_journal_meter(j);
    tune_init(&whole, &space, &usual, &meter);
    CHECK_OK(tune_run(&whole, 60000));
    CHECK(whole.cancelled);
    double spent = w.now;
    tune_release(&whole);
    tune_journal_close(j);

    CHECK_OK(tune_journal_find(db, others, &subject, 1, &found));
    CHECK(found == 0);
    CHECK_OK(tune_journal_find(db, settings, &subject, 1, &found));
    CHECK(found == id);
    world rest = {.noise = 0.03, .seed = 5};
    inner = make_meter(&rest);
    CHECK_OK(tune_journal_open(&j, &inner, db, id));
    CHECK(tune_journal_n_known(j) == 101 && tune_journal_number(j, "work") == 24);
    CHECK(isnan(tune_journal_number(j, "other")));
    meter = tune_journal_meter(j);
    tune_init(&again, &space, &usual, &meter);
    CHECK_OK(tune_run(&again, 60000));
    CHECK(!again.cancelled && again.best.n_threads == 2 && rest.n_runs == again.n_runs - 100);
    CHECK_MSG(spent + rest.now <= 60000, "%g", spent + rest.now); /* one budget for both */
    tune_release(&again);
    tune_journal_close(j);

    CHECK_OK(results_finish(db, id, NULL, NULL));
    CHECK_OK(tune_journal_find(db, settings, &subject, 1, &found));
    CHECK(found == 0);
    json_decref(settings);
    json_decref(others);
    results_close(db);
}

/* --- profiles --- */

static void write_model(const char *path, const char *content) {
    FILE *f = fopen(path, "w");
    fputs(content, f);
    fclose(f);
}

static void a_profile_holds_until_something_changes(void) {
    char model[96];
    fs_path path;
    profile p;
    tune_config best = usual;
    validity quiet = {.n = 0}, busy = {.n = 0};
    validity_doubt(&busy, VALIDITY_DISTURBED, "other programs");
    snprintf(model, sizeof model, "%s/model.gguf", folder);
    write_model(model, "weights");
    CHECK(profile_load(&p, model) == PROFILE_NONE);
    best.n_threads = 2;
    best.kv = HONE_KV_Q8_0;
    CHECK_OK(profile_save(model, TUNE_DECODE, &usual, &best, 7, &quiet, &path));
    CHECK(profile_load(&p, model) == PROFILE_FRESH);
    CHECK(p.n_threads == 2 && p.kv == HONE_KV_Q8_0 && p.prefill_chunk == -1 &&
          isnan(p.temperature));
    CHECK(!p.is_doubted && p.map == -1);

    tune_config sober = usual;
    sober.sampling.temperature = 0;
    CHECK_OK(profile_save(model, TUNE_QUALITY, &usual, &sober, 8, &busy, &path));
    CHECK(profile_load(&p, model) == PROFILE_FRESH && p.n_threads == 2 && p.temperature == 0);
    CHECK(p.is_doubted);

    write_model(model, "other weights");
    CHECK(profile_load(&p, model) == PROFILE_STALE &&
          strstr(hone_error_message(), "files have changed"));
    CHECK(profile_is_empty(&p));
    write_model(model, "weights");
    CHECK(profile_load(&p, model) == PROFILE_FRESH);

    static const struct {
        const char *key, *words;
    } changes[] = {{"machine", "machine"}, {"build", "build"}};
    for (size_t i = 0; i < 2; i++) {
        json_t *o;
        char *text;
        CHECK_OK(json_parse_file(&o, path.text, 1 << 16));
        json_t *before = json_incref(json_object_get(o, changes[i].key));
        json_object_set_new(o, changes[i].key, json_string("another"));
        CHECK(json_dump_file(o, path.text, 0) == 0);
        CHECK(profile_load(&p, model) == PROFILE_STALE &&
              strstr(hone_error_message(), changes[i].words));
        json_object_set_new(o, changes[i].key, before);
        text = json_dumps(o, 0);
        CHECK_OK(fs_write_file(path.text, text, strlen(text)));
        CHECK(profile_load(&p, model) == PROFILE_FRESH);
        mem_free(text);
        json_decref(o);
    }
}

static void nonsense_in_a_profile_says_nothing(void) {
    char model[96];
    fs_path path;
    profile p;
    json_t *o;
    snprintf(model, sizeof model, "%s/other.gguf", folder);
    write_model(model, "weights");
    tune_config best = usual;
    best.n_threads = 2;
    CHECK_OK(profile_save(model, TUNE_DECODE, &usual, &best, 0, &(validity){.n = 0}, &path));
    CHECK_OK(json_parse_file(&o, path.text, 1 << 16));
    json_object_set_new(o, "engine",
                        json_pack("{s:i, s:s, s:i, s:s}", "threads", 1 << 20, "kv", "q3", "slots",
                                  -5, "context", "long"));
    json_object_set_new(o, "sampling", json_pack("{s:f, s:i}", "temperature", -1.0, "top_p", 7));
    CHECK(json_dump_file(o, path.text, 0) == 0);
    CHECK(profile_load(&p, model) == PROFILE_FRESH && profile_is_empty(&p));
    json_decref(o);
    write_model(path.text, "[");
    CHECK(profile_load(&p, model) == PROFILE_NONE);
}

int main(void) {
    strcpy(folder, "/tmp/hone-tune-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    setenv("HONE_HOME", folder, 1);
    RUN(the_fastest_of_many_is_found_within_the_time);
    RUN(twins_have_no_measurable_effect);
    RUN(a_machine_that_slows_down_misleads_nobody);
    RUN(slower_is_worse_and_less_than_a_hundredth_is_nothing);
    RUN(no_time_is_exceeded);
    RUN(rounds_end_where_the_work_does);
    RUN(the_path_leads_to_the_best);
    RUN(a_budget_is_kept_however_short);
    RUN(what_is_not_allowed_is_not_tried);
    RUN(what_does_not_last_is_withdrawn);
    RUN(what_was_found_before_the_end_stays);
    RUN(filters_are_not_turned_where_nothing_is_drawn);
    RUN(an_interrupted_tuning_goes_on_with_the_same_runs);
    RUN(a_profile_holds_until_something_changes);
    RUN(nonsense_in_a_profile_says_nothing);
    fs_remove_tree(folder);
    return test_summary();
}
