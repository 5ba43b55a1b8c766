/* One tokenizer.json → tokenizer_spec. What the file asks for is recognised piece by piece; whatever
 * is not known is refused by its name, for a tokenizer that is almost right is wrong. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "format/tokenizer_json_patterns.h"
#include "format/tokenizer_spec.h"

enum { MAX_TOKENS = 1 << 24, MAX_GAPS = 1 << 16, MAX_PARTS = 16 };

static hone_status unsupported(const char *what, const char *found) {
    return fail(HONE_ERR_UNSUPPORTED, "%s \"%.400s\" is not supported", what,
                found ? found : "(none)");
}

static const char *type_of(const json_t *object) {
    return json_string_value(json_object_get(object, "type"));
}

static bool is_type(const json_t *object, const char *type) {
    const char *found = type_of(object);
    return found && strcmp(found, type) == 0;
}

static bool is_text(const json_t *value, const char *text) {
    const char *found = json_string_value(value);
    return found && strcmp(found, text) == 0;
}

/* The members of a {type: Sequence, key: […]}, or the object itself as the only one. */
static hone_status parts_of(const json_t *object, const char *key, const char *what,
                            const json_t *parts[MAX_PARTS], size_t *n) {
    *n = 0;
    if (!object || json_is_null(object)) return HONE_OK;
    if (!is_type(object, "Sequence")) {
        parts[(*n)++] = object;
        return HONE_OK;
    }
    const json_t *list = json_object_get(object, key);
    if (!json_is_array(list) || json_array_size(list) > MAX_PARTS)
        return fail(HONE_ERR_FORMAT, "%s: expected a list of at most %d", what, MAX_PARTS);
    for (size_t i = 0; i < json_array_size(list); i++) parts[(*n)++] = json_array_get(list, i);
    return HONE_OK;
}

/* --- normaliser --- */

static hone_status read_normalizer(tokenizer_spec *spec, const json_t *root, bool *blocks) {
    const json_t *parts[MAX_PARTS];
    size_t n;
    TRY(parts_of(json_object_get(root, "normalizer"), "normalizers", "normalizer", parts, &n));
    for (size_t i = 0; i < n; i++) {
        const json_t *p = parts[i];
        if (is_type(p, "NFC")) {
            spec->normalise_nfc = true;
        } else if (is_type(p, "Prepend") && is_text(json_object_get(p, "prepend"), "▁")) {
            spec->add_prefix_space = *blocks = true;
        } else if (is_type(p, "Replace") && is_text(json_object_get(p, "content"), "▁") &&
                   is_text(json_object_get(json_object_get(p, "pattern"), "String"), " ")) {
            *blocks = true;
        } else {
            return unsupported("normaliser", type_of(p));
        }
    }
    return HONE_OK;
}

/* --- pre-tokenizer --- */

/* Newer conversions of SentencePiece: the ▁ rules stand here in place of the normaliser. */
static hone_status read_metaspace(tokenizer_spec *spec, const json_t *p, bool *blocks) {
    const char *scheme = "always";
    bool split = true, add_prefix = true;
    TRY(json_get_string(p, "prepend_scheme", &scheme));
    TRY(json_get_bool(p, "split", &split));
    TRY(json_get_bool(p, "add_prefix_space", &add_prefix)); /* the older spelling */
    if (split) return unsupported("pre-tokenizer", "Metaspace with split");
    if (!is_text(json_object_get(p, "replacement"), "▁"))
        return unsupported("Metaspace replacement",
                           json_string_value(json_object_get(p, "replacement")));
    bool first = strcmp(scheme, "first") == 0, never = strcmp(scheme, "never") == 0;
    if (!first && !never && strcmp(scheme, "always") != 0)
        return unsupported("Metaspace prepend_scheme", scheme);
    if (!never && add_prefix) {
        spec->add_prefix_space = spec->prefix_if_missing = true;
        spec->prefix_first_only = first;
    }
    *blocks = true;
    return HONE_OK;
}

static hone_status read_byte_level(tokenizer_spec *spec, const json_t *p, split_steps *steps,
                                   bool alone) {
    bool add_prefix = true, use_regex = true;
    TRY(json_get_bool(p, "add_prefix_space", &add_prefix));
    TRY(json_get_bool(p, "use_regex", &use_regex));
    if (add_prefix && !alone)
        return unsupported("pre-tokenizer", "ByteLevel with add_prefix_space behind others");
    if (add_prefix) spec->add_prefix_space = spec->prefix_if_missing = true;
    return use_regex ? split_steps_add(steps, STEP_PATTERN_GPT2) : HONE_OK;
}

static hone_status read_split(const json_t *p, split_steps *steps) {
    const json_t *pattern = json_object_get(p, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *text = json_string_value(json_object_get(pattern, "String"));
    bool invert = false;
    TRY(json_get_bool(p, "invert", &invert));
    /* Gemma: a split at spaces, of which its normaliser has left none */
    if (text && strcmp(text, " ") == 0) return HONE_OK;
    if (!regex) return unsupported("split pattern", text);
    if (invert) return unsupported("pre-tokenizer", "Split with invert");
    if (!is_text(json_object_get(p, "behavior"), "Isolated"))
        return unsupported("Split behaviour", json_string_value(json_object_get(p, "behavior")));
    split_pattern found;
    if (!split_pattern_find(regex, &found)) return unsupported("split pattern", regex);
    return split_steps_add(steps, found);
}

static hone_status read_pre_tokenizer(tokenizer_spec *spec, const json_t *root, bool *blocks,
                                      bool *byte_level) {
    const json_t *parts[MAX_PARTS];
    size_t n;
    split_steps steps = {0};
    bool splits_at_space = false;
    TRY(parts_of(json_object_get(root, "pre_tokenizer"), "pretokenizers", "pre_tokenizer", parts,
                 &n));
    for (size_t i = 0; i < n; i++) {
        const json_t *p = parts[i];
        if (is_type(p, "ByteLevel")) {
            TRY(read_byte_level(spec, p, &steps, n == 1));
            *byte_level = true;
        } else if (is_type(p, "Split")) {
            const json_t *at = json_object_get(json_object_get(p, "pattern"), "String");
            splits_at_space |= at != NULL;
            TRY(read_split(p, &steps));
        } else if (is_type(p, "Digits")) {
            bool each = false;
            TRY(json_get_bool(p, "individual_digits", &each));
            if (!each) return unsupported("pre-tokenizer", "Digits without individual_digits");
            TRY(split_steps_add(&steps, STEP_PATTERN_NUMBER));
        } else if (is_type(p, "Metaspace") && n == 1) {
            TRY(read_metaspace(spec, p, blocks));
        } else if (is_type(p, "BertPreTokenizer")) {
            return fail(HONE_ERR_UNSUPPORTED, "WordPiece is not built yet");
        } else {
            return unsupported("pre-tokenizer", type_of(p));
        }
    }
    if (splits_at_space && !*blocks) return unsupported("split pattern", " ");
    if (!split_steps_rule(&steps, &spec->split))
        return unsupported("pre-tokenizer", "this sequence of known patterns");
    return HONE_OK;
}

/* --- vocabulary --- */

static hone_status token_id(const json_t *value, const char *text, size_t *id) {
    uint64_t number;
    if (!json_to_u64(value, &number) || number >= MAX_TOKENS)
        return fail(HONE_ERR_FORMAT, "token \"%.60s\": expected an id below %d", text, MAX_TOKENS);
    *id = (size_t)number;
    return HONE_OK;
}

/* How many rows: the highest id and one. The ids may leave gaps, but not many. */
static hone_status count_tokens(tokenizer_spec *spec, json_t *vocab, const json_t *added) {
    size_t n = 0, id = 0, given = json_object_size(vocab) + json_array_size(added), i;
    const char *text;
    json_t *value;
    json_object_foreach(vocab, text, value) {
        TRY(token_id(value, text, &id));
        if (id >= n) n = id + 1;
    }
    json_array_foreach(added, i, value) {
        text = json_string_value(json_object_get(value, "content"));
        if (!text) return fail(HONE_ERR_FORMAT, "added_tokens[%zu]: no content", i);
        TRY(token_id(json_object_get(value, "id"), text, &id));
        if (id >= n) n = id + 1;
    }
    if (n == 0) return fail(HONE_ERR_FORMAT, "no tokens");
    if (n > given + MAX_GAPS)
        return fail(HONE_ERR_FORMAT, "ids go up to %zu, but there are %zu tokens", n - 1, given);
    spec->tokens = mem_calloc(n, sizeof *spec->tokens);
    if (!spec->tokens) return mem_fail("tokens", n * sizeof *spec->tokens);
    spec->n_tokens = n;
    for (i = 0; i < n; i++) spec->tokens[i] = (token_entry){.text = "", .type = TOKEN_UNUSED};
    return HONE_OK;
}

static bool is_byte_name(const char *text, size_t n) {
    return n == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>';
}

static hone_status read_vocab(tokenizer_spec *spec, json_t *vocab) {
    const char *text;
    size_t n, id = 0;
    json_t *value;
    json_object_keylen_foreach(vocab, text, n, value) {
        TRY(token_id(value, text, &id));
        token_entry *token = &spec->tokens[id];
        if (token->type != TOKEN_UNUSED)
            return fail(HONE_ERR_FORMAT, "id %zu is both \"%.60s\" and \"%.60s\"", id, token->text,
                        text);
        bool byte = spec->byte_fallback && is_byte_name(text, n);
        *token = (token_entry){.text = text, .n = (uint32_t)n,
                               .type = byte ? TOKEN_BYTE : TOKEN_NORMAL};
    }
    return HONE_OK;
}

static hone_status read_added(tokenizer_spec *spec, const json_t *added) {
    size_t i, id = 0;
    json_t *value;
    json_array_foreach(added, i, value) {
        const json_t *content = json_object_get(value, "content");
        const char *text = json_string_value(content);
        size_t n = json_string_length(content);
        bool special = false, left = false, right = false, word = false;
        TRY(token_id(json_object_get(value, "id"), text, &id));
        TRY(json_get_bool(value, "special", &special));
        TRY(json_get_bool(value, "lstrip", &left));
        TRY(json_get_bool(value, "rstrip", &right));
        TRY(json_get_bool(value, "single_word", &word));
        if (word)
            return fail(HONE_ERR_UNSUPPORTED, "added token \"%.60s\": single_word is not supported",
                        text);
        token_entry *token = &spec->tokens[id];
        if (token->type != TOKEN_UNUSED && (token->n != n || memcmp(token->text, text, n) != 0))
            return fail(HONE_ERR_FORMAT, "id %zu is both \"%.60s\" and the added token \"%.60s\"",
                        id, token->text, text);
        *token = (token_entry){.text = text, .n = (uint32_t)n, .strips_left = left,
                               .strips_right = right,
                               .type = special ? TOKEN_CONTROL : TOKEN_USER_DEFINED};
    }
    return HONE_OK;
}

/* --- model --- */

static hone_status read_merge(const json_t *value, size_t i, token_merge *merge) {
    const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
    if (json_is_array(value) && json_array_size(value) == 2 && json_is_string(left) &&
        json_is_string(right)) {
        *merge = (token_merge){{json_string_value(left), json_string_length(left)},
                               {json_string_value(right), json_string_length(right)}};
        return HONE_OK;
    }
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    const char *space = text ? memchr(text, ' ', n) : NULL;
    if (!space)
        return fail(HONE_ERR_FORMAT, "merge %zu: expected \"left right\" or [left, right]", i);
    size_t left_n = (size_t)(space - text);
    *merge = (token_merge){{text, left_n}, {space + 1, n - left_n - 1}};
    return HONE_OK;
}

static hone_status read_merges(tokenizer_spec *spec, const json_t *merges) {
    if (!json_is_array(merges)) return fail(HONE_ERR_FORMAT, "model.merges: expected a list");
    size_t i;
    json_t *value;
    spec->merges = mem_calloc(json_array_size(merges), sizeof *spec->merges);
    if (!spec->merges) return mem_fail("merges", json_array_size(merges) * sizeof *spec->merges);
    json_array_foreach(merges, i, value) TRY(read_merge(value, i, &spec->merges[i]));
    spec->n_merges = json_array_size(merges);
    return HONE_OK;
}

/* Options of BPE that change ids and that no model here uses. */
static hone_status refuse_options(const json_t *model) {
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = "";
        TRY(json_get_string(model, texts[i], &text));
        if (*text) return fail(HONE_ERR_UNSUPPORTED, "BPE with %s is not supported", texts[i]);
    }
    double dropout = 0;
    TRY(json_get_f64(model, "dropout", &dropout));
    if (dropout != 0) return fail(HONE_ERR_UNSUPPORTED, "BPE with dropout is not supported");
    return HONE_OK;
}

static hone_status find_unknown(tokenizer_spec *spec, const json_t *model) {
    const char *text = NULL;
    TRY(json_get_string(model, "unk_token", &text));
    for (size_t i = 0; text && i < spec->n_tokens; i++) {
        token_entry *token = &spec->tokens[i];
        if (token->n != strlen(text) || memcmp(token->text, text, token->n) != 0) continue;
        spec->unk = (int32_t)i;
        if (token->type == TOKEN_NORMAL || token->type == TOKEN_CONTROL)
            token->type = TOKEN_UNKNOWN;
        return HONE_OK;
    }
    return text ? fail(HONE_ERR_FORMAT, "unk_token \"%.60s\" is no token", text) : HONE_OK;
}

static hone_status read_model(tokenizer_spec *spec, const json_t *root) {
    const json_t *model = json_object_get(root, "model");
    if (is_type(model, "WordPiece")) return fail(HONE_ERR_UNSUPPORTED, "WordPiece is not built yet");
    /* files of 2020 leave the type out */
    if (type_of(model) && !is_type(model, "BPE")) return unsupported("model", type_of(model));
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *added = json_object_get(root, "added_tokens");
    if (!json_is_object(vocab)) return fail(HONE_ERR_FORMAT, "model.vocab: expected an object");
    if (added && !json_is_null(added) && !json_is_array(added))
        return fail(HONE_ERR_FORMAT, "added_tokens: expected a list");
    TRY(refuse_options(model));
    TRY(json_get_bool(model, "byte_fallback", &spec->byte_fallback));
    TRY(json_get_bool(model, "ignore_merges", &spec->ignore_merges));
    TRY(json_get_bool(model, "fuse_unk", &spec->fuse_unk));
    TRY(count_tokens(spec, vocab, added));
    TRY(read_vocab(spec, vocab));
    TRY(read_added(spec, added));
    TRY(read_merges(spec, json_object_get(model, "merges")));
    return find_unknown(spec, model);
}

/* --- post-processor --- */

/* The id of the single token that {SpecialToken: {id: NAME}} stands for. */
static hone_status special_id(const json_t *processor, const char *name, size_t *id) {
    const json_t *ids =
        json_object_get(json_object_get(json_object_get(processor, "special_tokens"), name), "ids");
    if (!name || json_array_size(ids) != 1)
        return fail(HONE_ERR_FORMAT, "post_processor: \"%.60s\": expected one id",
                    name ? name : "");
    return token_id(json_array_get(ids, 0), name, id);
}

/* At most one token in front and one behind. Whisper's template has two in front; its prompt is
 * made elsewhere, so nothing is added there. */
static hone_status read_template(tokenizer_spec *spec, const json_t *processor) {
    const json_t *single = json_object_get(processor, "single"), *item;
    size_t front = 0, behind = 0, id = 0, i;
    bool past_text = false, whisper = false;
    json_array_foreach(single, i, item) {
        if (json_object_get(item, "Sequence")) {
            past_text = true;
            continue;
        }
        const json_t *name = json_object_get(json_object_get(item, "SpecialToken"), "id");
        whisper |= is_text(name, "<|startoftranscript|>");
        TRY(special_id(processor, json_string_value(name), &id));
        if (id >= spec->n_tokens)
            return fail(HONE_ERR_FORMAT, "post_processor: id %zu is no token", id);
        if (past_text && behind++ == 0) spec->eos = (int32_t)id;
        else if (!past_text && front++ == 0) spec->bos = (int32_t)id;
    }
    if (whisper) {
        spec->bos = spec->eos = -1;
        return HONE_OK;
    }
    if (front > 1 || behind > 1 || !past_text)
        return unsupported("post-processor", "a template with several tokens on one side");
    spec->add_bos = front == 1;
    spec->add_eos = behind == 1;
    return HONE_OK;
}

static hone_status read_post_processor(tokenizer_spec *spec, const json_t *root) {
    const json_t *parts[MAX_PARTS];
    size_t n;
    TRY(parts_of(json_object_get(root, "post_processor"), "processors", "post_processor", parts,
                 &n));
    for (size_t i = 0; i < n; i++) {
        if (is_type(parts[i], "TemplateProcessing")) TRY(read_template(spec, parts[i]));
        else if (!is_type(parts[i], "ByteLevel")) return unsupported("post-processor", type_of(parts[i]));
    }
    return HONE_OK;
}

/* --- all of it --- */

static hone_status read_all(tokenizer_spec *spec, const json_t *root) {
    bool blocks = false, byte_level = false;
    if (!json_is_object(root)) return fail(HONE_ERR_FORMAT, "expected an object");
    if (is_type(json_object_get(root, "normalizer"), "BertNormalizer"))
        return fail(HONE_ERR_UNSUPPORTED, "WordPiece is not built yet");
    TRY(read_normalizer(spec, root, &blocks));
    TRY(read_pre_tokenizer(spec, root, &blocks, &byte_level));
    if (blocks == byte_level)
        return unsupported("BPE", blocks ? "both byte-level and with ▁"
                                         : "neither byte-level nor with ▁");
    spec->model = blocks ? TOKENIZER_BPE_CHARS : TOKENIZER_BPE_BYTES;
    TRY(read_model(spec, root));
    return read_post_processor(spec, root);
}

hone_status tokenizer_spec_from_json(tokenizer_spec *spec, const char *json, size_t n,
                                     const char *name) {
    tokenizer_spec read = {.bos = -1, .eos = -1, .unk = -1, .pad = -1};
    json_t *root;
    TRY(json_parse(&root, json, n, name));
    read.owned = root;
    hone_status status = read_all(&read, root);
    if (status != HONE_OK) {
        fail_context(status, "%s", name);
        tokenizer_spec_release(&read);
        return status;
    }
    *spec = read;
    return HONE_OK;
}
