#include "cli/show_losses.h"

#include "base/mem.h"
#include "weights/fidelity_record.h"
#include "weights/store.h"

static bool find(fidelity_record *r, const char *name) {
    char *path;
    bool found = false;
    if (store_resolve(name, &path) != HONE_OK) return false;
    hone_status status = fidelity_record_read(r, &found, path);
    mem_free(path);
    return status == HONE_OK && found; /* a folder has none */
}

void show_losses_rows(cli_table *t, const char *name) {
    fidelity_record r;
    if (!find(&r, name)) return;
    const fidelity *f = &r.f;
    cli_text size;
    char *reference = cli_printable(r.reference), *text = cli_printable(r.text);
    char *type = cli_printable(r.reference_type);
    cli_table_add(t, "quantised from");
    cli_table_add(t, "%s (mostly %s, %s)", reference ? reference : "?", type ? type : "?",
                  cli_format_bytes(&size, r.reference_bytes));
    cli_table_add(t, "measured on");
    cli_table_add(t, "%zu tokens of %s", f->n_tokens, text ? text : "?");
    cli_table_add(t, "perplexity");
    cli_table_add(t, "%.4f, original %.4f: × %.4f  (%.4f to %.4f)", f->candidate, f->reference,
                  f->ratio.value, f->ratio.low, f->ratio.high);
    cli_table_add(t, "mean KL");
    cli_table_add(t, "%.5f  (%.5f to %.5f) nats, 99 %% below %.5f", f->kl.value, f->kl.low,
                  f->kl.high, f->kl_p99);
    cli_table_add(t, "same first token");
    cli_table_add(t, "%.1f %%  (%.1f to %.1f)", 100 * f->top1.value, 100 * f->top1.low,
                  100 * f->top1.high);
    mem_free(reference);
    mem_free(text);
    mem_free(type);
}

static json_t *estimate_json(const char *key, const estimate *e) {
    return json_pack("{s:f, s:f, s:f}", key, e->value, "low", e->low, "high", e->high);
}

void show_losses_json(json_t *root, const char *name) {
    fidelity_record r;
    if (!find(&r, name)) return;
    json_object_set_new(
        root, "fidelity",
        json_pack("{s:o, s:o, s:I, s:o, s:o, s:I, s:{s:f, s:f, s:f, s:f, s:f}, s:o, s:o}",
                  "reference", cli_json_text(r.reference), "reference_type",
                  cli_json_text(r.reference_type), "reference_bytes",
                  (json_int_t)r.reference_bytes, "text", cli_json_text(r.text), "text_sha256",
                  cli_json_text(r.text_sha256.text), "n_tokens", (json_int_t)r.f.n_tokens,
                  "perplexity", "reference", r.f.reference, "candidate", r.f.candidate, "ratio",
                  r.f.ratio.value, "low", r.f.ratio.low, "high", r.f.ratio.high, "kl",
                  estimate_json("mean", &r.f.kl), "top1", estimate_json("value", &r.f.top1)));
}
