/* The verdict on one answer, by the kind of its task. */
#include <string.h>

#include "base/mem.h"
#include "lab/eval_int.h"
#include "lab/score_ifeval.h"
#include "lab/score_overlap.h"
#include "lab/score_text.h"

enum { MAX_SEEN_BYTES = 16 << 20 };

static void set_verdict(eval_item *item, size_t figure, bool right) {
    item->counts[figure] = (metric_counts){{right, 1}};
    json_object_set_new(item->sample, "right", json_boolean(right));
}

/* The member that says what is right. */
static hone_status expected(const json_t *item, const char *name, const json_t **value) {
    *value = json_object_get(item, name);
    return *value ? HONE_OK : fail(HONE_ERR_FORMAT, "it has no \"%s\"", name);
}

static hone_status judge_number(const eval_run_state *run, eval_item *item, const char *answer) {
    const json_t *right;
    double wanted, number = 0;
    bool found, given = true;
    TRY(expected(eval_json(run, item), "answer", &right));
    if (json_is_string(right)) TRY(score_read_number(json_string_value(right), &wanted, &given));
    else wanted = json_number_value(right);
    if (!given) return fail(HONE_ERR_FORMAT, "\"answer\" holds no number");
    TRY(score_read_number(answer, &number, &found));
    json_object_set_new(item->sample, "prediction", found ? json_real(number) : json_null());
    json_object_set_new(item->sample, "answer", json_real(wanted));
    set_verdict(item, 0, found && score_same_number(number, wanted));
    return HONE_OK;
}

static hone_status judge_exact(const eval_run_state *run, eval_item *item, const char *answer) {
    const json_t *right;
    buf seen;
    bool any = false;
    TRY(expected(eval_json(run, item), "answer", &right));
    buf_init(&seen, MAX_SEEN_BYTES);
    hone_status status = HONE_OK;
    size_t n = json_is_array(right) ? json_array_size(right) : 1;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const json_t *one = json_is_array(right) ? json_array_get(right, i) : right;
        bool same = false;
        seen.len = 0;
        status = json_is_string(one)
                     ? score_same_text(answer, json_string_value(one), &same, &seen)
                     : fail(HONE_ERR_FORMAT, "\"answer\" is neither a text nor several");
        any |= same;
    }
    if (status == HONE_OK) {
        json_object_set_new(item->sample, "prediction", json_string(seen.data ? seen.data : ""));
        json_object_set(item->sample, "answer", (json_t *)(uintptr_t)right);
        set_verdict(item, 0, any);
    }
    buf_release(&seen);
    return status;
}

static hone_status judge_letter(const eval_run_state *run, eval_item *item, const char *answer) {
    const json_t *json = eval_json(run, item);
    uint64_t right = UINT64_MAX;
    TRY(json_get_u64(json, "answer", &right));
    int picked = score_read_letter(answer, json_array_size(json_object_get(json, "choices")));
    json_object_set_new(item->sample, "pick", json_integer(picked));
    json_object_set_new(item->sample, "answer", json_integer((json_int_t)right));
    set_verdict(item, 0, picked >= 0 && (uint64_t)picked == right);
    return HONE_OK;
}

/* Four figures: all instructions of the prompt, and each; as it stands, and leniently. */
static hone_status judge_ifeval(const eval_run_state *run, eval_item *item, const char *answer) {
    const json_t *json = eval_json(run, item);
    const json_t *names = json_object_get(json, "instruction_id_list");
    const json_t *arguments = json_object_get(json, "kwargs");
    size_t n = json_array_size(names), n_strict = 0, n_loose = 0;
    json_t *verdicts = json_array();
    hone_status status = n > 0 ? HONE_OK : fail(HONE_ERR_FORMAT, "it has no instructions");
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        bool strict = false, loose = false;
        if (!name) name = "";
        status = score_ifeval_check(answer, name, json_array_get(arguments, i), &strict);
        if (status == HONE_OK)
            status = score_ifeval_check_loosely(answer, name, json_array_get(arguments, i), &loose);
        n_strict += strict;
        n_loose += loose;
        json_array_append_new(verdicts, json_pack("{s:s, s:b, s:b}", "instruction", name, "strict",
                                                  strict, "loose", loose));
    }
    json_object_set_new(item->sample, "instructions", verdicts);
    TRY(status);
    item->counts[1] = (metric_counts){{n_loose == n, 1}};
    item->counts[2] = (metric_counts){{(double)n_strict, (double)n}};
    item->counts[3] = (metric_counts){{(double)n_loose, (double)n}};
    set_verdict(item, 0, n_strict == n);
    return HONE_OK;
}

static void trimmed(char *text) {
    size_t n = strlen(text), leading = strspn(text, " \t\r\n");
    while (n > leading && strchr(" \t\r\n", text[n - 1])) text[--n] = '\0';
    memmove(text, text + leading, n - leading + 1);
}

static hone_status judge_translation(eval_item *item, const char *answer, const json_t *reference) {
    double *counts = item->counts[0].of;
    if (json_is_array(reference)) reference = json_array_get(reference, 0);
    if (!json_is_string(reference)) return fail(HONE_ERR_FORMAT, "\"reference\" is no text");
    TRY(score_chrf_count(counts, answer, json_string_value(reference)));
    json_object_set_new(item->sample, "reference", json_string(json_string_value(reference)));
    json_object_set_new(item->sample, "chrf", json_real(score_chrf_value(counts)));
    return HONE_OK;
}

static hone_status judge_summary(eval_item *item, const char *answer, const json_t *reference) {
    double best = 0, f1;
    size_t n = json_is_array(reference) ? json_array_size(reference) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(reference) ? json_array_get(reference, i) : reference;
        if (!json_is_string(one)) return fail(HONE_ERR_FORMAT, "\"reference\" is no text");
        TRY(score_rouge_l(&f1, answer, json_string_value(one)));
        if (f1 > best) best = f1;
    }
    item->counts[0] = (metric_counts){{best, 1}};
    json_object_set_new(item->sample, "rouge_l", json_real(best));
    return HONE_OK;
}

static hone_status judge_overlap(const eval_run_state *run, eval_item *item, const char *answer) {
    const json_t *reference;
    TRY(expected(eval_json(run, item), "reference", &reference));
    char *text = mem_copy_string(answer, strlen(answer));
    if (!text) return mem_fail("answer", strlen(answer));
    trimmed(text);
    hone_status status = run->t->kind == TASK_SUMMARY ? judge_summary(item, text, reference)
                                                      : judge_translation(item, text, reference);
    mem_free(text);
    return status;
}

hone_status eval_judge(const eval_run_state *run, eval_item *item, size_t direction,
                       const char *answer) {
    switch (run->t->kind) {
    case TASK_CHOICE: return judge_letter(run, item, answer);
    case TASK_NUMBER: return judge_number(run, item, answer);
    case TASK_EXACT: return judge_exact(run, item, answer);
    case TASK_IFEVAL: return judge_ifeval(run, item, answer);
    case TASK_CODE: return eval_judge_code(run, item, answer);
    case TASK_CRUX: return eval_judge_crux(run, item, direction, answer);
    case TASK_TRANSLATION:
    case TASK_SUMMARY: return judge_overlap(run, item, answer);
    default:
        item->counts[0] = (metric_counts){{answer[strspn(answer, " \t\r\n")] != '\0', 1}};
        return HONE_OK;
    }
}
