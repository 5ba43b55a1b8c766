/* Expressions of strategies (include/hone/strategy.h). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

enum { MAX_EXPRESSION_BYTES = 1024, MAX_NAME_BYTES = 32 };

/* --- names --- */

static bool is_name_byte(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-'; }

static bool is_alias(const strategy_def *d, const char *name, size_t n) {
    for (const char *p = d->aliases; p && *p;) {
        size_t length = strcspn(p, " ");
        if (length == n && !memcmp(p, name, n)) return true;
        p += length + (p[length] == ' ');
    }
    return false;
}

static const strategy_def *find(const char *name, size_t n) {
    for (size_t i = 0; i < n_strategy_defs; i++) {
        const strategy_def *d = &strategy_defs[i];
        if (strlen(d->info.name) == n && !memcmp(d->info.name, name, n)) return d;
        if (is_alias(d, name, n)) return d;
    }
    return NULL;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein's distance of two short words. */
static size_t distance(const char *a, size_t n, const char *b) {
    size_t row[MAX_NAME_BYTES + 1], m = strlen(b);
    if (m > MAX_NAME_BYTES) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(least(row[j] + 1, row[j - 1] + 1), change);
        }
    }
    return row[m];
}

static hone_status unknown(const char *name, size_t n) {
    const char *nearest = strategy_defs[0].info.name;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n_strategy_defs; i++) {
        size_t d = distance(name, least(n, MAX_NAME_BYTES), strategy_defs[i].info.name);
        if (d < best) best = d, nearest = strategy_defs[i].info.name;
    }
    return fail(HONE_ERR_ARGUMENT, "there is no strategy \"%.*s\"; the nearest name is \"%s\"",
                (int)least(n, 64), name, nearest);
}

/* "sc8": digits[n_digits] behind a name that takes a number. */
static hone_status read_number(strategy_word *w, const char *digits, size_t n_digits) {
    if (w->def->info.n_draws == 0)
        return fail(HONE_ERR_ARGUMENT, "%s takes no number", w->def->info.name);
    w->n = 0;
    for (size_t i = 0; i < n_digits && w->n <= HONE_MAX_DRAWS; i++)
        w->n = 10 * w->n + (size_t)(digits[i] - '0');
    if (w->n == 0 || w->n > HONE_MAX_DRAWS)
        return fail(HONE_ERR_ARGUMENT, "%s: from 1 to %d %s", w->def->info.name, HONE_MAX_DRAWS,
                    w->def->info.kind == HONE_STRATEGY_TRANSFORM ? "examples" : "draws");
    return HONE_OK;
}

/* "@0.75" behind a name that has a bar. */
static hone_status read_bar(const char **at, strategy_word *w) {
    const char *text = *at + 1;
    size_t n = strspn(text, "0123456789.");
    char copy[16] = "", *end = copy;
    if (n > 0 && n < sizeof copy) {
        memcpy(copy, text, n);
        w->bar = strtod(copy, &end);
    }
    if (w->def->info.bar == 0)
        return fail(HONE_ERR_ARGUMENT, "%s has no bar to be set by @", w->def->info.name);
    if (end == copy || *end || !(w->bar > 0 && w->bar <= 1))
        return fail(HONE_ERR_ARGUMENT, "%s: a bar is a number above 0, at most 1, not \"%.16s\"",
                    w->def->info.name, text);
    *at = text + n;
    return HONE_OK;
}

/* The whole word, else what stands before its closing digits ("re2" is a name, "sc8" is not). */
static hone_status read_word(const char **at, strategy_word *w) {
    const char *name = *at;
    size_t n = 0, digits;
    while (is_name_byte(name[n])) n++;
    if (n == 0)
        return fail(HONE_ERR_ARGUMENT, "a strategy's name is missing before \"%.16s\"",
                    *name ? name : "the end");
    *at += n;
    for (digits = n; digits && isdigit((unsigned char)name[digits - 1]); digits--) {}
    bool whole = (w->def = find(name, n));
    if (!whole && (digits == n || !(w->def = find(name, digits))))
        return unknown(name, digits ? digits : n);
    w->n = w->def->info.n_draws;
    w->bar = w->def->info.bar;
    if (!whole) TRY(read_number(w, name + digits, n - digits));
    return **at == '@' ? read_bar(at, w) : HONE_OK;
}

static void skip_space(const char **at) { *at += strspn(*at, " \t"); }

static bool take(const char **at, char c) {
    skip_space(at);
    if (**at != c) return false;
    ++*at;
    skip_space(at);
    return true;
}

/* --- branches --- */

/* What the words behind "&" may be depends on what has been read. */
static hone_status add_word(strategy_branch *b, const strategy_word *w) {
    const hone_strategy_info *i = &w->def->info;
    bool has_main = b->main.def != NULL;
    if (i->kind == HONE_STRATEGY_TRANSFORM && !has_main) {
        if (b->n_transforms == MAX_TRANSFORMS)
            return fail(HONE_ERR_ARGUMENT, "more than %d transforms in a row", MAX_TRANSFORMS);
        b->transforms[b->n_transforms++] = *w;
    } else if ((i->kind == HONE_STRATEGY_PROGRAM || i->kind == HONE_STRATEGY_SAMPLER) &&
               !has_main) {
        b->main = *w;
    } else if (i->kind == HONE_STRATEGY_SELECTOR && has_main &&
               b->main.def->info.kind == HONE_STRATEGY_SAMPLER && !b->selector) {
        b->selector = w->def;
    } else {
        static const char *const rule[] = {
            [HONE_STRATEGY_PROGRAM] = "a whole program: only transforms stand before it, nothing behind",
            [HONE_STRATEGY_TRANSFORM] = "a transform of the prompt: it stands before what draws answers",
            [HONE_STRATEGY_SAMPLER] = "a sampler: only transforms stand before it, only a selector behind",
            [HONE_STRATEGY_SELECTOR] = "a selector: it stands behind a sampler (\"sample8 & vote\")"};
        return fail(HONE_ERR_ARGUMENT, "%s is %s", i->name, rule[i->kind]);
    }
    return HONE_OK;
}

/* A branch of transforms alone is one answer to the changed prompt; the draws of a sampler alone
 * vote. */
static void end_branch(strategy_branch *b) {
    if (!b->main.def) b->main = (strategy_word){.def = find("none", 4)};
    if (b->main.def->info.kind == HONE_STRATEGY_SAMPLER && !b->selector)
        b->selector = find("vote", 4);
}

/* A selector alone, behind the last "|". */
static bool is_selector_alone(const strategy_branch *b, const strategy_word *w) {
    return w->def->info.kind == HONE_STRATEGY_SELECTOR && !b->main.def && !b->n_transforms;
}

/* --- models --- */

static hone_status add_model(hone_strategy *s, const char *name, size_t n) {
    if (n == 0)
        return fail(HONE_ERR_ARGUMENT, "a model's name is missing behind \"with\" or \"+\"");
    if (s->n_models == HONE_MAX_OTHERS)
        return fail(HONE_ERR_ARGUMENT, "more than %d models behind \"with\"", HONE_MAX_OTHERS);
    s->models[s->n_models] = mem_copy_string(name, n);
    if (!s->models[s->n_models]) return mem_fail("strategy", n);
    s->n_models++;
    return HONE_OK;
}

/* "with a + b", where it stands. */
static hone_status parse_models(hone_strategy *s, const char **at) {
    static const char with[] = "with";
    skip_space(at);
    if (strncmp(*at, with, sizeof with - 1) || !strchr(" \t", (*at)[sizeof with - 1]))
        return HONE_OK;
    *at += sizeof with - 1;
    do {
        skip_space(at);
        size_t n = strcspn(*at, " \t+&|,");
        TRY(add_model(s, *at, n));
        *at += n;
    } while (take(at, '+'));
    return HONE_OK;
}

static hone_status parse(hone_strategy *s, const char *at) {
    do {
        if (s->n_branches == MAX_BRANCHES)
            return fail(HONE_ERR_ARGUMENT, "more than %d branches", MAX_BRANCHES);
        strategy_branch *b = &s->branches[s->n_branches];
        strategy_word w;
        TRY(read_word(&at, &w));
        if (s->n_branches > 1 && is_selector_alone(b, &w)) {
            s->selector = w.def;
            skip_space(&at);
            break;
        }
        TRY(add_word(b, &w));
        while (take(&at, '&')) {
            TRY(read_word(&at, &w));
            TRY(add_word(b, &w));
        }
        end_branch(b);
        s->n_branches++;
    } while (take(&at, '|'));
    TRY(parse_models(s, &at));
    if (*at) return fail(HONE_ERR_ARGUMENT, "\"%.16s\" is not expected here", at);
    if (s->n_branches > 1 && !s->selector)
        return fail(HONE_ERR_ARGUMENT, "several branches need a selector at the end: \"… | vote\"");
    return HONE_OK;
}

/* --- the canonical text --- */

static hone_status add_word_text(buf *b, const strategy_word *w) {
    TRY(buf_add_text(b, w->def->info.name));
    if (w->n) TRY(buf_add_format(b, "%zu", w->n));
    return w->bar > 0 ? buf_add_format(b, "@%g", w->bar) : HONE_OK;
}

static hone_status add_branch_text(buf *b, const strategy_branch *x) {
    for (size_t i = 0; i < x->n_transforms; i++) {
        TRY(add_word_text(b, &x->transforms[i]));
        TRY(buf_add_text(b, " & "));
    }
    TRY(add_word_text(b, &x->main));
    return x->selector ? buf_add_format(b, " & %s", x->selector->info.name) : HONE_OK;
}

static hone_status write_text(hone_strategy *s) {
    buf b;
    hone_status status = HONE_OK;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < s->n_branches && status == HONE_OK; i++) {
        if (i) status = buf_add_text(&b, " | ");
        if (status == HONE_OK) status = add_branch_text(&b, &s->branches[i]);
    }
    if (s->selector && status == HONE_OK)
        status = buf_add_format(&b, " | %s", s->selector->info.name);
    for (size_t i = 0; i < s->n_models && status == HONE_OK; i++)
        status = buf_add_format(&b, "%s%s", i ? " + " : " with ", s->models[i]);
    if (status == HONE_OK && !(s->text = buf_take(&b))) status = mem_fail("strategy", 1);
    buf_release(&b);
    return status;
}

hone_status hone_strategy_parse(hone_strategy **strategy, const char *expression) {
    if (strlen(expression) > MAX_EXPRESSION_BYTES)
        return fail(HONE_ERR_ARGUMENT, "a strategy of more than %d bytes", MAX_EXPRESSION_BYTES);
    hone_strategy *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("strategy", sizeof *s);
    const char *at = expression + strspn(expression, " \t");
    hone_status status = parse(s, at);
    if (status == HONE_OK) status = write_text(s);
    if (status != HONE_OK) {
        hone_strategy_close(s);
        return status;
    }
    *strategy = s;
    return HONE_OK;
}

void hone_strategy_close(hone_strategy *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_models; i++) mem_free(s->models[i]);
    mem_free(s->text);
    mem_free(s);
}

const char *hone_strategy_text(const hone_strategy *s) { return s->text; }

const char *hone_strategy_model(const hone_strategy *s, size_t i) {
    return i < s->n_models ? s->models[i] : NULL;
}
