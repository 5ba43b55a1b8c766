/* tokenizer.ggml.* of a GGUF file → tokenizer_spec. */
#include <string.h>

#include "base/mem.h"
#include "format/tokenizer_spec.h"

#define KEY(name) "tokenizer.ggml." name

/* Names of `.pre`, the ways to split text. Each is here because its pattern is known to be the one
 * beside it; no other name is taken for one of them. */
typedef struct pre_rule {
    const char *name;
    tokenizer_split split;
    bool nfc, ignore_merges, add_bos; /* what such a file leaves unsaid */
} pre_rule;

static const pre_rule pre_rules[] = {
    {"default", SPLIT_DEFAULT, false, false, false},
    {"gpt-2", SPLIT_GPT2, false, false, false},
    {"phi-2", SPLIT_GPT2, false, false, false},
    {"jina-es", SPLIT_GPT2, false, false, false},
    {"jina-de", SPLIT_GPT2, false, false, false},
    {"jina-v1-en", SPLIT_GPT2, false, false, false},
    {"roberta-bpe", SPLIT_GPT2, false, false, false},
    {"gigachat", SPLIT_GPT2, false, false, false},
    {"mellum", SPLIT_GPT2, false, false, false},
    {"modern-bert", SPLIT_GPT2, false, false, false},
    {"olmo", SPLIT_GPT2, false, false, false},
    {"jais", SPLIT_GPT2, false, false, false},
    {"mpt", SPLIT_GPT2, false, false, false},
    {"qwen2", SPLIT_QWEN2, true, false, false},
    {"deepseek-r1-qwen", SPLIT_QWEN2, true, false, false},
    {"kormo", SPLIT_QWEN2, false, false, false},
    {"qwen35", SPLIT_QWEN35, false, false, false},
    {"llama-bpe", SPLIT_LLAMA3, false, true, true},
    {"llama3", SPLIT_LLAMA3, false, true, true},
    {"llama-v3", SPLIT_LLAMA3, false, true, true},
    {"falcon3", SPLIT_LLAMA3, false, true, true},
    {"falcon-h1", SPLIT_LLAMA3, false, true, true},
    {"pixtral", SPLIT_LLAMA3, false, true, true},
    {"lfm2", SPLIT_LLAMA3, false, true, true},
    {"smollm", SPLIT_SMOLLM, false, false, false},
    {"starcoder", SPLIT_SMOLLM, false, false, false},
    {"refact", SPLIT_SMOLLM, false, false, false},
    {"command-r", SPLIT_SMOLLM, false, false, false},
    {"codeshell", SPLIT_SMOLLM, false, false, false},
    {"exaone", SPLIT_SMOLLM, false, false, false},
    {"deepseek-llm", SPLIT_DEEPSEEK_LLM, false, false, false},
    {"deepseek-coder", SPLIT_DEEPSEEK_CODER, false, false, false},
    {"falcon", SPLIT_FALCON, false, false, false},
};

/* The first rule of the kind is the name that most programs know. */
const char *tokenizer_spec_pre_name(const tokenizer_spec *spec) {
    for (size_t i = 0; i < sizeof pre_rules / sizeof *pre_rules; i++) {
        const pre_rule *rule = &pre_rules[i];
        if (rule->split == spec->split && rule->nfc == spec->normalise_nfc &&
            rule->ignore_merges == spec->ignore_merges)
            return rule->name;
    }
    return NULL;
}

static bool is_text(gguf_string s, const char *text) {
    return s.n == strlen(text) && memcmp(s.data, text, s.n) == 0;
}

/* For messages: names from files are cut. */
static int shown(gguf_string s) { return s.n < 80 ? (int)s.n : 80; }

/* --- model and split --- */

static hone_status read_split(tokenizer_spec *spec, const gguf *file, const char *name) {
    gguf_string pre = {"default", 7};
    spec->split_is_guess = !gguf_get_string(file, KEY("pre"), &pre);
    for (size_t i = 0; i < sizeof pre_rules / sizeof *pre_rules; i++) {
        const pre_rule *rule = &pre_rules[i];
        if (!is_text(pre, rule->name)) continue;
        spec->split = rule->split;
        spec->normalise_nfc = rule->nfc;
        spec->ignore_merges = rule->ignore_merges;
        spec->add_bos = rule->add_bos;
        return HONE_OK;
    }
    return fail(HONE_ERR_UNSUPPORTED, "%s: pre-tokenizer \"%.*s\" is not supported", name,
                shown(pre), pre.data);
}

static hone_status read_model(tokenizer_spec *spec, const gguf *file, const char *name) {
    gguf_string model;
    if (!gguf_get_string(file, KEY("model"), &model))
        return fail(HONE_ERR_NOT_FOUND, "%s: no tokenizer in it (%s is missing)", name,
                    KEY("model"));
    if (is_text(model, "gpt2")) {
        spec->model = TOKENIZER_BPE_BYTES;
        return read_split(spec, file, name);
    }
    if (is_text(model, "llama")) {
        spec->model = TOKENIZER_SPM;
        spec->add_prefix_space = spec->add_bos = true;
        spec->bos = 1;
        spec->eos = 2;
        spec->unk = 0;
    } else if (is_text(model, "gemma4")) {
        spec->model = TOKENIZER_BPE_CHARS;
        spec->split = SPLIT_NEWLINES;
        spec->add_bos = true;
    } else if (is_text(model, "bert")) {
        return fail(HONE_ERR_UNSUPPORTED, "%s: WordPiece is not built yet", name);
    } else {
        return fail(HONE_ERR_UNSUPPORTED, "%s: tokenizer \"%.*s\" is not supported", name,
                    shown(model), model.data);
    }
    spec->byte_fallback = spec->fuse_unk = true;
    return HONE_OK;
}

/* --- arrays --- */

/* NULL in *kv where the key is missing and not required. */
static hone_status find_array(const gguf *file, const char *name, const char *key, bool required,
                              size_t n_expected, const gguf_kv **kv) {
    *kv = gguf_find(file, key);
    if (!*kv)
        return required ? fail(HONE_ERR_FORMAT, "%s: %s is missing", name, key) : HONE_OK;
    if ((*kv)->type != GGUF_ARRAY)
        return fail(HONE_ERR_FORMAT, "%s: %s is no array", name, key);
    if (n_expected && (*kv)->count != n_expected)
        return fail(HONE_ERR_FORMAT, "%s: %s has %zu rows for %zu tokens", name, key, (*kv)->count,
                    n_expected);
    return HONE_OK;
}

static hone_status read_strings(const gguf *file, const char *name, const char *key,
                                bool required, const gguf_kv **kv) {
    TRY(find_array(file, name, key, required, 0, kv));
    if (*kv && (*kv)->element != GGUF_STRING)
        return fail(HONE_ERR_FORMAT, "%s: %s is no array of strings", name, key);
    return HONE_OK;
}

static hone_status read_texts(tokenizer_spec *spec, const gguf *file, const char *name) {
    const gguf_kv *texts;
    TRY(read_strings(file, name, KEY("tokens"), true, &texts));
    if (texts->count == 0) return fail(HONE_ERR_FORMAT, "%s: no tokens", name);
    spec->tokens = mem_calloc(texts->count, sizeof *spec->tokens);
    if (!spec->tokens) return mem_fail("tokens", texts->count * sizeof *spec->tokens);
    size_t cursor = 0;
    gguf_string text;
    for (; spec->n_tokens < texts->count && gguf_next_string(texts, &cursor, &text);
         spec->n_tokens++) {
        if (text.n > UINT32_MAX)
            return fail(HONE_ERR_FORMAT, "%s: token %zu has %zu bytes", name, spec->n_tokens,
                        text.n);
        spec->tokens[spec->n_tokens] =
            (token_entry){.text = text.data, .n = (uint32_t)text.n, .type = TOKEN_NORMAL};
    }
    return HONE_OK;
}

static hone_status read_types(tokenizer_spec *spec, const gguf *file, const char *name) {
    const gguf_kv *types;
    TRY(find_array(file, name, KEY("token_type"), false, spec->n_tokens, &types));
    for (size_t i = 0; types && i < spec->n_tokens; i++) {
        uint64_t type;
        if (!gguf_element_u64(types, i, &type) || type < TOKEN_NORMAL || type > TOKEN_BYTE)
            return fail(HONE_ERR_FORMAT, "%s: %s[%zu]: expected 1 to 6", name, KEY("token_type"),
                        i);
        spec->tokens[i].type = (uint8_t)type;
    }
    return HONE_OK;
}

static hone_status read_scores(tokenizer_spec *spec, const gguf *file, const char *name) {
    const gguf_kv *scores;
    if (spec->model != TOKENIZER_SPM) return HONE_OK;
    TRY(find_array(file, name, KEY("scores"), true, spec->n_tokens, &scores));
    for (size_t i = 0; i < spec->n_tokens; i++) {
        double score;
        if (!gguf_element_f64(scores, i, &score))
            return fail(HONE_ERR_FORMAT, "%s: %s[%zu] is no number", name, KEY("scores"), i);
        spec->tokens[i].score = (float)score;
    }
    return HONE_OK;
}

/* "left right": the separator is the first space that is not the first byte. No symbol of these
 * vocabularies holds a space. */
static hone_status read_merges(tokenizer_spec *spec, const gguf *file, const char *name) {
    const gguf_kv *merges;
    if (spec->model == TOKENIZER_SPM) return HONE_OK;
    TRY(read_strings(file, name, KEY("merges"), true, &merges));
    spec->merges = mem_calloc(merges->count, sizeof *spec->merges);
    if (!spec->merges) return mem_fail("merges", merges->count * sizeof *spec->merges);
    size_t cursor = 0;
    gguf_string text;
    for (; spec->n_merges < merges->count && gguf_next_string(merges, &cursor, &text);
         spec->n_merges++) {
        const char *space = text.n > 2 ? memchr(text.data + 1, ' ', text.n - 2) : NULL;
        if (!space)
            return fail(HONE_ERR_FORMAT, "%s: merge %zu, \"%.*s\": expected two tokens", name,
                        spec->n_merges, shown(text), text.data);
        size_t left = (size_t)(space - text.data);
        spec->merges[spec->n_merges] =
            (token_merge){{text.data, left}, {space + 1, text.n - left - 1}};
    }
    return HONE_OK;
}

/* --- ids and flags --- */

static hone_status read_id(const tokenizer_spec *spec, const gguf *file, const char *name,
                           const char *key, int32_t *id) {
    double value = -2;
    if (gguf_find(file, key) == NULL) {
        if (*id >= 0 && (size_t)*id >= spec->n_tokens) *id = -1; /* a default of the model */
        return HONE_OK;
    }
    gguf_get_f64(file, key, &value);
    if (value == UINT32_MAX) value = -1; /* "none", as old converters write it */
    if (!(value >= -1 && value < (double)spec->n_tokens))
        return fail(HONE_ERR_FORMAT, "%s: %s: expected an id below %zu", name, key,
                    spec->n_tokens);
    *id = (int32_t)value;
    return HONE_OK;
}

static hone_status read_ids(tokenizer_spec *spec, const gguf *file, const char *name) {
    int32_t eot = -1, eom = -1;
    TRY(read_id(spec, file, name, KEY("bos_token_id"), &spec->bos));
    TRY(read_id(spec, file, name, KEY("eos_token_id"), &spec->eos));
    TRY(read_id(spec, file, name, KEY("unknown_token_id"), &spec->unk));
    TRY(read_id(spec, file, name, KEY("padding_token_id"), &spec->pad));
    TRY(read_id(spec, file, name, KEY("eot_token_id"), &eot));
    TRY(read_id(spec, file, name, KEY("eom_token_id"), &eom));
    TRY(tokenizer_spec_add_stop(spec, spec->eos));
    TRY(tokenizer_spec_add_stop(spec, eot));
    TRY(tokenizer_spec_add_stop(spec, eom));
    gguf_get_bool(file, KEY("add_bos_token"), &spec->add_bos);
    gguf_get_bool(file, KEY("add_eos_token"), &spec->add_eos);
    gguf_get_bool(file, KEY("add_space_prefix"), &spec->add_prefix_space);
    if (spec->model == TOKENIZER_BPE_CHARS) spec->add_bos = true; /* Gemma's files wrongly say no */
    return tokenizer_spec_add_known_stops(spec);
}

/* What SentencePiece can do and hone does not. */
static hone_status refuse_normalisers(const gguf *file, const char *name) {
    bool removes = false;
    gguf_get_bool(file, KEY("remove_extra_whitespaces"), &removes);
    const gguf_kv *map = gguf_find(file, KEY("precompiled_charsmap"));
    if (removes || (map && map->count > 0))
        return fail(HONE_ERR_UNSUPPORTED, "%s: SentencePiece's %s is not supported", name,
                    removes ? "remove_extra_whitespaces" : "precompiled_charsmap");
    return HONE_OK;
}

static hone_status read_template(tokenizer_spec *spec, const gguf *file) {
    gguf_string text;
    if (!gguf_get_string(file, "tokenizer.chat_template", &text)) return HONE_OK;
    spec->chat_template = mem_copy_string(text.data, text.n);
    return spec->chat_template ? HONE_OK : mem_fail("chat template", text.n);
}

static hone_status read_all(tokenizer_spec *spec, const gguf *file, const char *name) {
    TRY(read_model(spec, file, name));
    TRY(refuse_normalisers(file, name));
    TRY(read_texts(spec, file, name));
    TRY(read_types(spec, file, name));
    TRY(read_scores(spec, file, name));
    TRY(read_merges(spec, file, name));
    TRY(read_ids(spec, file, name));
    return read_template(spec, file);
}

hone_status tokenizer_spec_from_gguf(tokenizer_spec *spec, const gguf *file, const char *name) {
    tokenizer_spec read = {.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    hone_status status = read_all(&read, file, name);
    if (status != HONE_OK) tokenizer_spec_release(&read);
    else *spec = read;
    return status;
}
