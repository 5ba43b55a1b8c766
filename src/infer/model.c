/* Opening a model: joins weights, tokenizer and chat template (include/hone/model.h). */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/file_map.h"
#include "base/mem.h"
#include "base/system.h"
#include "base/utf8.h"
#include "infer/engine.h"
#include "infer/speech_decode.h"

#define MAX_TEMPLATE_VARIABLE 4096

const char *hone_version(void) { return HONE_VERSION; }

void hone_free(void *memory) { mem_free(memory); }

/* --- memory --- */

/* What runs beside the weights: a cache of the first tokens and the buffers of a pass. */
#define WORKING_BYTES (64u << 20)

static const char *show_bytes(char out[32], uint64_t bytes) {
    bool small = bytes < (uint64_t)1000 << 20;
    snprintf(out, 32, small ? "%.1f MiB" : "%.2f GiB",
             (double)bytes / (double)(small ? 1 << 20 : 1 << 30));
    return out;
}

static hone_status check_memory(const char *path, uint64_t file_bytes) {
    uint64_t have = system_look_at_memory("").limit;
    if (file_bytes <= have && have - file_bytes >= WORKING_BYTES) return HONE_OK;
    char needed[32], weights[32], present[32], fits[32];
    return fail(HONE_ERR_MEMORY,
                "%s needs %s of memory (%s of weights, the rest for cache and buffers); this "
                "process may use %s. A model file of at most %s would fit: try a smaller "
                "quantisation or a smaller model",
                path, show_bytes(needed, file_bytes + WORKING_BYTES),
                show_bytes(weights, file_bytes), show_bytes(present, have),
                show_bytes(fits, have > WORKING_BYTES ? have - WORKING_BYTES : 0));
}

/* --- description --- */

typedef struct type_totals {
    size_t n_tensors[DTYPE_LIMIT];
    uint64_t n_bytes[DTYPE_LIMIT], n_elements;
} type_totals;

static uint64_t count_elements(const tensor *view) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < view->n_dims; i++) n *= view->ne[i];
    return n;
}

static void add_to_totals(void *user, gguf_string name, const tensor *view, size_t bytes) {
    type_totals *totals = user;
    (void)name;
    totals->n_elements += count_elements(view);
    if ((uint32_t)view->type >= DTYPE_LIMIT) return;
    totals->n_tensors[view->type]++;
    totals->n_bytes[view->type] += bytes;
}

void hone_model_each_type(const hone_model *model,
                          void (*each)(void *user, const char *type, size_t n_tensors,
                                       uint64_t n_bytes),
                          void *user) {
    type_totals totals = {0};
    source_each(&model->source, add_to_totals, &totals);
    for (uint32_t i = 0; i < DTYPE_LIMIT; i++)
        if (totals.n_tensors[i])
            each(user, dtype_get(i)->name, totals.n_tensors[i], totals.n_bytes[i]);
}

typedef struct tensor_visit {
    void (*each)(void *user, const char *name, const char *type, uint64_t n_elements,
                 uint64_t n_bytes);
    void *user;
} tensor_visit;

static void visit_tensor(void *user, gguf_string name, const tensor *view, size_t bytes) {
    const tensor_visit *visit = user;
    char text[256];
    bool is_known = (uint32_t)view->type < DTYPE_LIMIT && dtype_get(view->type);
    snprintf(text, sizeof text, "%.*s", name.n < 255 ? (int)name.n : 255, name.data);
    visit->each(visit->user, text, is_known ? dtype_get(view->type)->name : "?",
                count_elements(view), bytes);
}

void hone_model_each_tensor(const hone_model *model,
                            void (*each)(void *user, const char *name, const char *type,
                                         uint64_t n_elements, uint64_t n_bytes),
                            void *user) {
    tensor_visit visit = {each, user};
    source_each(&model->source, visit_tensor, &visit);
}

static hone_status copy_gguf_text(char **out, const gguf *file, const char *key) {
    gguf_string text = {"", 0};
    if (file) gguf_get_string(file, key, &text);
    *out = mem_copy_string(text.data, text.n);
    return *out ? HONE_OK : mem_fail(key, text.n);
}

static void add_matrix(hone_model_info *info, uint64_t *ops, const tensor *w) {
    info->step_bytes += w->ne[1] * w->row_bytes;
    *ops += 2 * (uint64_t)w->ne[0] * w->ne[1];
}

static void describe_work(hone_model_info *info, const llama *m) {
    for (size_t i = 0; i < m->h.n_layers; i++) {
        const llama_layer *l = &m->layers[i];
        const tensor *matrices[] = {&l->q, &l->k, &l->v, &l->attn_out, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++)
            add_matrix(info, &info->token_ops, matrices[j]);
    }
    add_matrix(info, &info->logits_ops, &m->output);
}

static void describe_llama(hone_model_info *info, const llama *m) {
    const hparams *h = &m->h;
    describe_work(info, m);
    info->architecture = h->architecture;
    info->kv_bytes_per_token = (uint64_t)h->n_layers * 2 * h->n_kv_heads * h->head_dim * 2;
    info->n_vocab = h->n_vocab;
    info->n_context = h->n_context;
    info->n_layers = h->n_layers;
    info->n_embedding = h->n_embd;
    info->n_heads = h->n_heads;
    info->n_kv_heads = h->n_kv_heads;
    info->head_dim = h->head_dim;
    info->n_feed_forward = h->n_ff;
    info->takes_text = true;
}

/* The decoder's numbers; the encoder's are alike. */
static void describe_whisper(hone_model_info *info, const whisper_hparams *h) {
    const whisper_stack *s = &h->decoder;
    info->architecture = "whisper";
    info->kv_bytes_per_token = (uint64_t)s->n_layers * 2 * s->n_embd * 2;
    info->n_vocab = h->n_vocab;
    info->n_context = s->n_context;
    info->n_layers = s->n_layers;
    info->n_embedding = s->n_embd;
    info->n_heads = info->n_kv_heads = s->n_heads;
    info->head_dim = s->n_embd / s->n_heads;
    info->n_feed_forward = s->n_ff;
    info->takes_audio = true;
}

static hone_status describe(hone_model *m) {
    const gguf *file = m->source.gguf;
    TRY(copy_gguf_text(&m->name, file, "general.name"));
    TRY(copy_gguf_text(&m->license, file, "general.license"));
    type_totals totals = {0};
    source_each(&m->source, add_to_totals, &totals);
    uint32_t widest = 0;
    for (uint32_t i = 1; i < DTYPE_LIMIT; i++)
        if (totals.n_bytes[i] > totals.n_bytes[widest]) widest = i;
    m->info = (hone_model_info){
        .name = m->name,
        .license = m->license,
        .weight_type = dtype_get(widest)->name,
        .n_parameters = totals.n_elements,
        .file_bytes = source_file_bytes(&m->source),
        .n_threads = pool_threads(m->compute.pool),
        .instruction_set = m->compute.k->name,
        .has_chat_template = m->template != NULL,
    };
    if (m->family == FAMILY_WHISPER) describe_whisper(&m->info, &m->speech.h);
    else describe_llama(&m->info, &m->net);
    return HONE_OK;
}

hone_status model_wants_family(const hone_model *m, model_family family) {
    if (m->family == family) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED,
                family == FAMILY_WHISPER ? "%s takes text, not audio: a Whisper model is needed"
                                         : "%s is a model for speech: it transcribes audio and "
                                           "takes no text", m->source.path);
}

/* --- text --- */

static hone_status token_text(char **out, const tokenizer_spec *spec, int32_t id) {
    const token_entry *token = id >= 0 ? &spec->tokens[id] : &(token_entry){.text = ""};
    if (token->n > MAX_TEMPLATE_VARIABLE)
        return fail(HONE_ERR_FORMAT, "token %d has a text of %u bytes", (int)id, token->n);
    /* Templates take text only: bytes that are none count as no token. */
    size_t n = utf8_is_valid(token->text, token->n) ? token->n : 0;
    *out = mem_copy_string(token->text, n);
    return *out ? HONE_OK : mem_fail("token text", n);
}

static hone_status open_text(hone_model *m, const tokenizer_spec *spec, const char *template) {
    size_t n_vocab = m->family == FAMILY_WHISPER ? m->speech.h.n_vocab : m->net.h.n_vocab;
    if (spec->n_tokens > n_vocab)
        return fail(HONE_ERR_FORMAT, "%s: the tokenizer has %zu tokens, the embedding %zu rows",
                    m->source.path, spec->n_tokens, n_vocab);
    hone_status status = tokenizer_open(&m->tokenizer, spec);
    if (status != HONE_OK) return fail_context(status, "%s", m->source.path);
    TRY(token_text(&m->bos_text, spec, spec->bos));
    TRY(token_text(&m->eos_text, spec, spec->eos));
    if (!template) template = spec->chat_template;
    if (!template) return HONE_OK;
    size_t n = strlen(template);
    m->template_source = mem_copy_string(template, n);
    if (!m->template_source) return mem_fail("chat template", n);
    status = chat_template_open(&m->template, m->template_source, n);
    /* A template that hone cannot read must not stop who only wants plain text: the words come when
     * a chat is asked for (hone_render_chat opens it again). */
    return status == HONE_ERR_MEMORY ? status : HONE_OK;
}

/* Of a table that is not the head, too, only the rows of tokens that occur are read. */
static void read_embedding_sparsely(const llama *net) {
    const tensor *e = &net->embedding;
    if (e->data != net->output.data) file_map_read_sparsely(e->data, e->ne[1] * e->row_bytes);
}

static hone_status open_parts(hone_model *m, const char *path, const hone_model_options *o) {
    struct stat st;
    bool sized = !o->describe_only && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    if (sized) TRY(check_memory(path, (uint64_t)st.st_size));
    TRY(source_open(&m->source, path));
    if (!o->describe_only) TRY(check_memory(path, source_file_bytes(&m->source)));
    if (o->copy_weights) TRY(source_take_in(&m->source));
    m->family = whisper_is(&m->source) ? FAMILY_WHISPER : FAMILY_LLAMA;
    TRY(m->family == FAMILY_WHISPER ? whisper_open(&m->speech, &m->source)
                                    : llama_open(&m->net, &m->source));
    if (!o->copy_weights) read_embedding_sparsely(&m->net);
    TRY(compute_init(&m->compute, cpu_thread_count(o->n_threads)));
    tokenizer_spec spec;
    TRY(source_tokenizer(&m->source, &spec));
    hone_status status = open_text(m, &spec, o->chat_template);
    tokenizer_spec_release(&spec);
    TRY(status);
    if (m->family == FAMILY_WHISPER)
        TRY(speech_tokens_init(&m->speech_ids, m->tokenizer, &m->speech.h));
    TRY(recommended_sampling(&m->recommended, &m->source));
    return describe(m);
}

hone_status hone_model_open(hone_model **model, const char *path,
                            const hone_model_options *options) {
    const hone_model_options usual = {0};
    hone_model *m = mem_calloc(1, sizeof *m);
    if (!m) return mem_fail("model", sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->speech_turn, NULL);
    hone_status status = token_trees_open(&m->trees);
    if (status == HONE_OK) status = open_parts(m, path, options ? options : &usual);
    if (status != HONE_OK) {
        hone_model_close(m);
        return status;
    }
    *model = m;
    return HONE_OK;
}

void hone_model_close(hone_model *m) {
    if (!m) return;
    chat_template_close(m->template);
    token_trees_close(m->trees);
    tokenizer_close(m->tokenizer);
    compute_release(&m->compute);
    llama_scratch_release(&m->scratch);
    llama_release(&m->net);
    for (int i = 0; i < 2; i++) speech_decoder_close(m->speech_decoders[i]);
    whisper_scratch_release(&m->speech_scratch);
    speech_tokens_release(&m->speech_ids);
    whisper_release(&m->speech);
    source_release(&m->source);
    mem_free(m->logits);
    mem_free(m->pass_tokens);
    mem_free(m->segments);
    mem_free(m->states);
    mem_free(m->adapters);
    mem_free(m->progress);
    mem_free(m->order);
    mem_free(m->template_source);
    mem_free(m->bos_text);
    mem_free(m->eos_text);
    mem_free(m->name);
    mem_free(m->license);
    pthread_cond_destroy(&m->speech_turn);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

const hone_model_info *hone_model_describe(const hone_model *model) { return &model->info; }

const char *hone_model_chat_template(const hone_model *model) { return model->template_source; }

bool hone_is_stop_token(const hone_model *model, int32_t id) {
    return tokenizer_is_stop(model->tokenizer, id);
}

hone_status hone_tokenize(const hone_model *model, const char *text, size_t n_bytes,
                          bool add_special, int32_t **ids, size_t *n_ids) {
    token_list list = {0};
    hone_status status = tokenizer_encode(model->tokenizer, text, n_bytes, NULL, 0,
                                          add_special ? ENCODE_ADD_SPECIAL : 0, &list);
    if (status != HONE_OK) {
        token_list_release(&list);
        return status;
    }
    *ids = list.ids;
    *n_ids = list.n;
    return HONE_OK;
}

hone_status hone_detokenize(const hone_model *model, const int32_t *ids, size_t n_ids,
                            bool with_control, char **text, size_t *n_bytes) {
    char *raw;
    size_t n_raw;
    TRY(tokenizer_decode(model->tokenizer, ids, n_ids, with_control, &raw, &n_raw));
    buf shown;
    buf_init(&shown, SIZE_MAX / 2);
    hone_status status = utf8_add_replaced(&shown, raw, n_raw);
    mem_free(raw);
    if (status == HONE_OK) {
        *n_bytes = shown.len;
        *text = buf_take(&shown);
        if (!*text) status = mem_fail("text", 1);
    }
    buf_release(&shown);
    return status;
}
