#include "infer/speech_align.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* --- warping --- */

enum { FROM_BOTH, FROM_ABOVE, FROM_LEFT };

/* Where each cell's cheapest path comes from. `before` and `now` hold one row of totals each. */
static void find_steps(const float *cost, size_t n_rows, size_t n_columns, uint8_t *steps,
                       float *before, float *now) {
    for (size_t j = 0; j <= n_columns; j++) before[j] = j == 0 ? 0 : INFINITY;
    for (size_t i = 0; i < n_rows; i++) {
        now[0] = INFINITY;
        for (size_t j = 0; j < n_columns; j++) {
            float both = before[j], above = before[j + 1], left = now[j];
            int step = both < above && both < left    ? FROM_BOTH
                       : above < both && above < left ? FROM_ABOVE
                                                      : FROM_LEFT;
            float least = step == FROM_BOTH ? both : step == FROM_ABOVE ? above : left;
            now[j + 1] = cost[i * n_columns + j] + least;
            steps[i * n_columns + j] = (uint8_t)step;
        }
        memcpy(before, now, (n_columns + 1) * sizeof *before);
    }
}

hone_status speech_warp(const float *cost, size_t n_rows, size_t n_columns, size_t *first) {
    uint8_t *steps = mem_alloc(n_rows * n_columns);
    float *totals = mem_calloc(2 * (n_columns + 1), sizeof *totals);
    hone_status status = HONE_OK;
    if (steps && totals) {
        find_steps(cost, n_rows, n_columns, steps, totals, totals + n_columns + 1);
        size_t i = n_rows - 1, j = n_columns - 1;
        for (;;) {
            first[i] = j;
            /* At an edge there is one way left. */
            int step = i == 0 ? FROM_LEFT : j == 0 ? FROM_ABOVE : steps[i * n_columns + j];
            if (i == 0 && j == 0) break;
            if (step != FROM_LEFT) i--;
            if (step != FROM_ABOVE) j--;
        }
    } else {
        status = mem_fail("alignment", n_rows * n_columns);
    }
    mem_free(steps);
    mem_free(totals);
    return status;
}

void speech_median(const float *x, size_t n, float *out) {
    enum { WIDTH = 7, REACH = WIDTH / 2 };
    if (n <= REACH) {
        memcpy(out, x, n * sizeof *x);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float sorted[WIDTH];
        for (int k = 0; k < WIDTH; k++) {
            ptrdiff_t at = (ptrdiff_t)i + k - REACH, last = (ptrdiff_t)n - 1;
            float value = x[at < 0 ? -at : at > last ? 2 * last - at : at];
            int place = k;
            for (; place > 0 && sorted[place - 1] > value; place--)
                sorted[place] = sorted[place - 1];
            sorted[place] = value;
        }
        out[i] = sorted[REACH];
    }
}

/* --- from attention to times --- */

/* What one alignment looks at: rows are the start sequence, <|notimestamps|>, the text, the end. */
typedef struct alignment {
    hone_model *m;
    int32_t ids[SPEECH_MAX_TOKENS];
    size_t n_ids, n_start, n_text;
    size_t n_heads, n_audio, n_columns; /* positions of a window; of its content */
    float *scores;  /* [n_heads, n_ids, n_audio] */
    float *logits;  /* [LOGIT_ROWS, n_vocab] */
    float *matrix;  /* [n_text + 1, n_columns] mean over heads, then cost */
} alignment;

enum { LOGIT_ROWS = 32 };

static void note_probabilities(const alignment *a, size_t begin, size_t n, float *probabilities) {
    const kernels *k = a->m->compute.k;
    size_t n_vocab = a->m->speech.h.n_vocab, n_text_ids = (size_t)a->m->speech_ids.end;
    for (size_t i = 0; i < n; i++) {
        size_t row = begin + i;
        if (row < a->n_start || row >= a->n_start + a->n_text) continue;
        float *logits = a->logits + i * n_vocab;
        float max, sum = k->softmax_row(logits, n_text_ids, 1, &max);
        probabilities[row - a->n_start] = logits[a->ids[row + 1]] / sum;
    }
}

/* Runs the decoder over the ids, a few at a time, since each row of logits is 200 kB. */
static hone_status listen(alignment *a, const whisper_cross *cross, bool exact,
                          float *probabilities) {
    whisper_cache cache;
    whisper_run run = speech_run(a->m, exact);
    uint32_t rows[LOGIT_ROWS];
    for (uint32_t i = 0; i < LOGIT_ROWS; i++) rows[i] = i;
    float *scores = mem_calloc(a->n_heads * LOGIT_ROWS * a->n_audio, sizeof *scores);
    if (!scores) return mem_fail("attention", a->n_heads * LOGIT_ROWS * a->n_audio * 4);
    hone_status status = whisper_cache_init(&cache, run.m, exact, 1);
    for (size_t begin = 0; begin < a->n_ids && status == HONE_OK; begin += LOGIT_ROWS) {
        size_t n = a->n_ids - begin < LOGIT_ROWS ? a->n_ids - begin : LOGIT_ROWS;
        whisper_batch b = {.cache = &cache, .logits = a->logits, .logit_rows = rows,
                           .n_logit_rows = n, .scores = scores,
                           .items = &(whisper_item){0, begin, a->ids + begin, n, cross},
                           .n_items = 1};
        status = whisper_decode(&run, &b);
        for (size_t h = 0; h < a->n_heads && status == HONE_OK; h++)
            memcpy(a->scores + (h * a->n_ids + begin) * a->n_audio, scores + h * n * a->n_audio,
                   n * a->n_audio * sizeof *scores);
        if (status == HONE_OK) note_probabilities(a, begin, n, probabilities);
    }
    whisper_cache_release(&cache);
    mem_free(scores);
    return status;
}

/* Over the rows, each column of a head gets mean 0 and deviation 1: a frame that every token looks
 * at says nothing. */
static void normalise_columns(float *x, size_t n_rows, size_t stride, size_t n_columns) {
    for (size_t j = 0; j < n_columns; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n_rows; i++) sum += (double)x[i * stride + j];
        double mean = sum / (double)n_rows;
        for (size_t i = 0; i < n_rows; i++) {
            double off = (double)x[i * stride + j] - mean;
            squares += off * off;
        }
        float deviation = (float)sqrt(squares / (double)n_rows);
        for (size_t i = 0; i < n_rows; i++)
            x[i * stride + j] = (x[i * stride + j] - (float)mean) / deviation;
    }
}

static void prepare_head(void *user, size_t head, int thread) {
    (void)thread;
    const alignment *a = user;
    const kernels *k = a->m->compute.k;
    float *scores = a->scores + head * a->n_ids * a->n_audio;
    for (size_t i = 0; i < a->n_ids; i++) {
        float *row = scores + i * a->n_audio;
        float max, scale = 1.0f / k->softmax_row(row, a->n_columns, 1, &max);
        for (size_t j = 0; j < a->n_columns; j++) row[j] *= scale;
    }
    normalise_columns(scores, a->n_ids, a->n_audio, a->n_columns);
}

/* Each row of the matrix: heads smoothed along the frames and averaged, as a cost. */
static void prepare_row(void *user, size_t index, int thread) {
    const alignment *a = user;
    float *smooth = a->m->compute.scratch[thread], *out = a->matrix + index * a->n_columns;
    memset(out, 0, a->n_columns * sizeof *out);
    for (size_t h = 0; h < a->n_heads; h++) {
        const float *row = a->scores + (h * a->n_ids + a->n_start + index) * a->n_audio;
        speech_median(row, a->n_columns, smooth);
        for (size_t j = 0; j < a->n_columns; j++) out[j] += smooth[j];
    }
    for (size_t j = 0; j < a->n_columns; j++) out[j] /= -(float)a->n_heads;
}

static hone_status align(alignment *a, const whisper_cross *cross, bool exact, double *times,
                         float *probabilities) {
    size_t first[SPEECH_MAX_TOKENS];
    TRY(listen(a, cross, exact, probabilities));
    TRY(compute_reserve(&a->m->compute, a->n_columns * sizeof(float)));
    op_parallel(&a->m->compute, a->n_heads, prepare_head, a);
    op_parallel(&a->m->compute, a->n_text + 1, prepare_row, a);
    TRY(speech_warp(a->matrix, a->n_text + 1, a->n_columns, first));
    for (size_t i = 0; i <= a->n_text; i++) times[i] = (double)first[i] / 50;
    return HONE_OK;
}

hone_status speech_align(hone_model *m, const whisper_cross *cross, bool exact,
                         const int32_t *start, size_t n_start, const int32_t *text, size_t n,
                         size_t n_content, double *times, float *probabilities) {
    alignment *a = mem_calloc(1, sizeof *a);
    if (!a) return mem_fail("alignment", sizeof *a);
    size_t room = speech_context(m) - n_start - 2;
    *a = (alignment){.m = m, .n_start = n_start, .n_text = n < room ? n : room,
                     .n_heads = m->speech.h.n_heads, .n_audio = m->speech.h.encoder.n_context,
                     .n_columns = n_content > 1 ? n_content / 2 : 1};
    a->n_ids = n_start + a->n_text + 2;
    memcpy(a->ids, start, n_start * sizeof *start);
    a->ids[n_start] = m->speech_ids.no_timestamps;
    memcpy(a->ids + n_start + 1, text, a->n_text * sizeof *text);
    a->ids[a->n_ids - 1] = m->speech_ids.end;
    a->scores = mem_calloc(a->n_heads * a->n_ids * a->n_audio, sizeof *a->scores);
    a->logits = mem_alloc_aligned(LOGIT_ROWS * m->speech.h.n_vocab, sizeof *a->logits);
    a->matrix = mem_calloc((a->n_text + 1) * a->n_columns, sizeof *a->matrix);
    hone_status status = HONE_OK;
    if (a->scores && a->logits && a->matrix) {
        speech_turn_begin(m);
        status = align(a, cross, exact, times, probabilities);
        speech_turn_end(m);
    } else {
        status = mem_fail("alignment", a->n_heads * a->n_ids * a->n_audio * sizeof *a->scores);
    }
    for (size_t i = a->n_text; i < n && status == HONE_OK; i++) { /* what no longer fitted */
        times[i + 1] = times[i];
        probabilities[i] = 0;
    }
    mem_free(a->scores);
    mem_free(a->logits);
    mem_free(a->matrix);
    mem_free(a);
    return status;
}
