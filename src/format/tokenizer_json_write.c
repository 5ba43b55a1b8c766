/* tokenizer_spec → tokenizer.json, tokenizer_config.json and generation_config.json: the inverse of
 * tokenizer_json.c and tokenizer_folder.c, as far as a GGUF file tells. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "format/tokenizer_json_patterns.h"
#include "format/tokenizer_spec.h"

/* A JSON string of a token's bytes; NULL where these are no text. */
static json_t *text_of(gguf_string s) { return json_stringn(s.data, s.n); }

static gguf_string view_of(const token_entry *t) { return (gguf_string){t->text, t->n}; }

static bool is_added(const token_entry *t) {
    return t->type == TOKEN_CONTROL || t->type == TOKEN_USER_DEFINED || t->type == TOKEN_UNKNOWN;
}

/* --- tokens --- */

static hone_status put_vocabulary(json_t *vocab, json_t *added, const tokenizer_spec *spec) {
    for (size_t i = 0; i < spec->n_tokens; i++) {
        const token_entry *t = &spec->tokens[i];
        bool unused = t->type == TOKEN_UNUSED;
        if (unused && t->n > 4 && memcmp(t->text, "[PAD", 4) == 0) continue; /* a row of padding */
        if (json_object_getn(vocab, t->text, t->n))
            return fail(HONE_ERR_UNSUPPORTED, "token %zu has the text of another one, which "
                        "tokenizer.json cannot say", i);
        if (json_object_setn_new(vocab, t->text, t->n, json_integer((json_int_t)i)) != 0)
            return fail(HONE_ERR_UNSUPPORTED, "token %zu is no text", i);
        if (!is_added(t)) continue;
        json_t *entry = json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i,
                                  "content", text_of(view_of(t)), "single_word", 0, "lstrip",
                                  t->strips_left, "rstrip", t->strips_right, "normalized", 0,
                                  "special", t->type != TOKEN_USER_DEFINED);
        if (!entry || json_array_append_new(added, entry) != 0)
            return mem_fail("tokens", spec->n_tokens);
    }
    return HONE_OK;
}

/* --- merges --- */

static hone_status add_merge(json_t *merges, gguf_string left, gguf_string right) {
    json_t *pair = json_pack("[o, o]", text_of(left), text_of(right));
    if (pair && json_array_append_new(merges, pair) == 0) return HONE_OK;
    return mem_fail("merges", json_array_size(merges));
}

static hone_status copy_merges(json_t *merges, const tokenizer_spec *spec) {
    for (size_t i = 0; i < spec->n_merges; i++)
        TRY(add_merge(merges, spec->merges[i].left, spec->merges[i].right));
    return HONE_OK;
}

/* A way to put a token together from two others. */
typedef struct cut {
    float score;
    uint32_t token, left, right, at;
} cut;

static int by_score(const void *a, const void *b) {
    const cut *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->token != y->token) return x->token < y->token ? -1 : 1;
    if (x->left != y->left) return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

static bool takes_part(const token_entry *t) { return t->type == TOKEN_NORMAL; }

static hone_status find_cuts(buf *cuts, const tokenizer_spec *spec, const strmap *ids) {
    for (size_t i = 0; i < spec->n_tokens; i++) {
        const token_entry *t = &spec->tokens[i];
        for (uint32_t at = 1; takes_part(t) && at < t->n; at++) {
            cut c = {.score = t->score, .token = (uint32_t)i, .at = at};
            if (((unsigned char)t->text[at] & 0xC0) == 0x80) continue; /* inside a character */
            if (!strmap_find(ids, t->text, at, &c.left) ||
                !strmap_find(ids, t->text + at, t->n - at, &c.right))
                continue;
            TRY(buf_add(cuts, &c, sizeof c));
        }
    }
    return HONE_OK;
}

static hone_status index_tokens(strmap *ids, const tokenizer_spec *spec) {
    for (size_t i = 0; i < spec->n_tokens; i++) {
        const token_entry *t = &spec->tokens[i];
        if (takes_part(t)) TRY(strmap_insert(ids, t->text, t->n, (uint32_t)i, NULL));
    }
    return HONE_OK;
}

/* SentencePiece joins the pair whose result has the highest score: as a list, all pairs of all
 * tokens by score. */
static hone_status derive_merges(json_t *merges, const tokenizer_spec *spec) {
    strmap ids;
    buf cuts;
    buf_init(&cuts, (size_t)1 << 31);
    TRY(strmap_init(&ids, spec->n_tokens));
    hone_status status = index_tokens(&ids, spec);
    if (status == HONE_OK) status = find_cuts(&cuts, spec, &ids);
    cut *list = (cut *)(void *)cuts.data;
    size_t n = cuts.len / sizeof *list;
    if (status == HONE_OK && n > 0) qsort(list, n, sizeof *list, by_score);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const token_entry *t = &spec->tokens[list[i].token];
        status = add_merge(merges, (gguf_string){t->text, list[i].at},
                           (gguf_string){t->text + list[i].at, t->n - list[i].at});
    }
    buf_release(&cuts);
    strmap_release(&ids);
    return status;
}

/* --- how text is taken apart and put together --- */

static json_t *byte_level(void) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 0);
}

static hone_status put_pre_tokenizer(json_t *root, const tokenizer_spec *spec) {
    const char *regexes[SPLIT_STEPS_MAX];
    size_t n;
    if (!split_rule_regexes(spec->split, regexes, &n) || spec->add_prefix_space)
        return fail(HONE_ERR_UNSUPPORTED,
                    "this pre-tokenizer is not written to tokenizer.json yet");
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split",
                                              "pattern", "Regex", regexes[i], "behavior",
                                              "Isolated", "invert", 0));
    json_array_append_new(list, byte_level());
    json_t *sequence = json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
    bool fine = json_object_set_new(root, "pre_tokenizer", sequence) == 0;
    return fine ? HONE_OK : mem_fail("pre-tokenizer", n);
}

static json_t *special(const tokenizer_spec *spec, int32_t id) {
    return json_pack("{s:{s:o, s:i}}", "SpecialToken", "id",
                     text_of(view_of(&spec->tokens[id])), "type_id", 0);
}

static json_t *special_row(const tokenizer_spec *spec, int32_t id) {
    json_t *text = text_of(view_of(&spec->tokens[id]));
    return json_pack("{s:O, s:[i], s:[o]}", "id", text, "ids", (int)id, "tokens", text);
}

/* BOS in front and EOS behind, where the model wants them. */
static json_t *make_post_processor(const tokenizer_spec *spec) {
    bool bos = spec->add_bos && spec->bos >= 0, eos = spec->add_eos && spec->eos >= 0;
    if (!bos && !eos) return json_null();
    json_t *single = json_array(), *pair = json_array(), *tokens = json_object();
    for (int second = 0; second < 2; second++) {
        if (bos) json_array_append_new(pair, special(spec, spec->bos));
        json_array_append_new(pair, json_pack("{s:{s:s, s:i}}", "Sequence", "id",
                                              second ? "B" : "A", "type_id", second));
        if (eos) json_array_append_new(pair, special(spec, spec->eos));
        if (second == 0) json_array_extend(single, pair);
    }
    for (int which = 0; which < 2; which++) {
        int32_t id = which ? spec->eos : spec->bos;
        if (!(which ? eos : bos)) continue;
        json_object_setn_new(tokens, spec->tokens[id].text, spec->tokens[id].n,
                             special_row(spec, id));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single,
                     "pair", pair, "special_tokens", tokens);
}

static json_t *replace(const char *from, const char *to) {
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from,
                     "content", to);
}

/* --- tokenizer.json --- */

static hone_status put_byte_level(json_t *root, const tokenizer_spec *spec) {
    TRY(put_pre_tokenizer(root, spec));
    json_t *normalizer = spec->normalise_nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    bool fine = json_object_set_new(root, "normalizer", normalizer) == 0 &&
                json_object_set_new(root, "decoder", byte_level()) == 0;
    return fine ? HONE_OK : mem_fail("tokenizer.json", 0);
}

static hone_status put_sentencepiece(json_t *root, const tokenizer_spec *spec) {
    json_t *steps = json_array(), *decoder = json_array();
    if (spec->add_prefix_space)
        json_array_append_new(steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "▁"));
    json_array_append_new(steps, replace(" ", "▁"));
    json_array_append_new(decoder, replace("▁", " "));
    json_array_append_new(decoder, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(decoder, json_pack("{s:s}", "type", "Fuse"));
    if (spec->add_prefix_space)
        json_array_append_new(decoder, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip",
                                                 "content", " ", "start", 1, "stop", 0));
    json_t *normalizer = json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
    json_t *decoding = json_pack("{s:s, s:o}", "type", "Sequence", "decoders", decoder);
    int failed = json_object_set_new(root, "normalizer", normalizer);
    failed |= json_object_set_new(root, "decoder", decoding); /* each takes its value in any case */
    failed |= json_object_set_new(root, "pre_tokenizer", json_null());
    return failed ? mem_fail("tokenizer.json", 0) : HONE_OK;
}

static json_t *unknown_text(const tokenizer_spec *spec) {
    bool named = spec->unk >= 0 && spec->model != TOKENIZER_BPE_BYTES;
    return named ? text_of(view_of(&spec->tokens[spec->unk])) : json_null();
}

/* Hands `value` to the object; NULL where that failed. */
static json_t *keep(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0 ? value : NULL;
}

static hone_status fill_tokenizer(json_t *root, const tokenizer_spec *spec) {
    bool bytes = spec->model == TOKENIZER_BPE_BYTES;
    json_object_set_new(root, "version", json_string("1.0"));
    json_object_set_new(root, "truncation", json_null());
    json_object_set_new(root, "padding", json_null());
    json_t *model = json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout",
                              "unk_token", unknown_text(spec), "continuing_subword_prefix",
                              "end_of_word_suffix", "fuse_unk", !bytes, "byte_fallback",
                              spec->byte_fallback, "ignore_merges", spec->ignore_merges);
    model = keep(root, "model", model);
    json_t *added = keep(root, "added_tokens", json_array());
    json_t *vocab = keep(model, "vocab", json_object());
    json_t *merges = keep(model, "merges", json_array());
    if (!added || !vocab || !merges) return mem_fail("tokenizer.json", spec->n_tokens);
    TRY(put_vocabulary(vocab, added, spec));
    TRY(spec->n_merges > 0 ? copy_merges(merges, spec) : derive_merges(merges, spec));
    TRY(bytes ? put_byte_level(root, spec) : put_sentencepiece(root, spec));
    bool fine = keep(root, "post_processor", make_post_processor(spec)) != NULL;
    return fine ? HONE_OK : mem_fail("tokenizer.json", spec->n_tokens);
}

hone_status tokenizer_spec_to_json(json_t **out, const tokenizer_spec *spec, const char *name) {
    json_use_mem();
    json_t *root = json_object();
    if (!root) return mem_fail("tokenizer.json", 0);
    hone_status status = fill_tokenizer(root, spec);
    if (status != HONE_OK) {
        json_decref(root);
        return fail_context(status, "%s", name);
    }
    *out = root;
    return HONE_OK;
}

/* --- the files beside it --- */

hone_status tokenizer_spec_to_config(json_t **out, const tokenizer_spec *spec) {
    const struct {
        const char *key;
        int32_t id;
    } names[] = {{"bos_token", spec->bos}, {"eos_token", spec->eos}, {"unk_token", spec->unk},
                 {"pad_token", spec->pad}};
    json_use_mem();
    json_t *root = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "clean_up_tokenization_spaces", 0, "add_bos_token", spec->add_bos,
                             "add_eos_token", spec->add_eos);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int32_t id = names[i].id;
        json_object_set_new(root, names[i].key,
                            id >= 0 ? text_of(view_of(&spec->tokens[id])) : json_null());
    }
    if (spec->chat_template)
        json_object_set_new(root, "chat_template", json_string(spec->chat_template));
    *out = root;
    return root ? HONE_OK : mem_fail("tokenizer_config.json", 0);
}

hone_status tokenizer_spec_to_generation(json_t **out, const tokenizer_spec *spec) {
    json_use_mem();
    json_t *root = json_object(), *stops = json_array();
    for (size_t i = 0; i < spec->n_stops; i++)
        json_array_append_new(stops, json_integer(spec->stops[i]));
    if (spec->bos >= 0) json_object_set_new(root, "bos_token_id", json_integer(spec->bos));
    bool fine = json_object_set_new(root, "eos_token_id", stops) == 0;
    if (!fine) json_decref(root);
    else *out = root;
    return fine ? HONE_OK : mem_fail("generation_config.json", 0);
}
