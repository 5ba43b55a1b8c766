/* The mixes as tables and rules. See quant_mix.h. */
#include "weights/quant_mix.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The part of a model that a tensor plays, as far as mixes care. */
typedef enum role {
    ROLE_KEPT,   /* its type stays */
    ROLE_VECTOR, /* becomes F32 */
    ROLE_HEAD,
    ROLE_ATTN_V,
    ROLE_ATTN_QKV,
    ROLE_ATTN_OUTPUT,
    ROLE_FFN_DOWN,
    ROLE_OTHER
} role;

/* Layer i of n, and what else decides. */
typedef struct place {
    size_t i, n;
    bool many_queries; /* at least four heads share a key/value head */
    bool has_importance;
} place;

typedef dtype mix_rule(role r, const place *p);

struct quant_mix {
    const char *name;
    dtype base;
    uint32_t file_type;
    mix_rule *rule; /* NULL: the base everywhere */
};

/* The layers at both ends and every third between them. */
static bool more_bits(const place *p) {
    size_t eighth = p->n / 8;
    return p->i < eighth || p->i >= 7 * p->n / 8 || (p->i - eighth) % 3 == 2;
}

static dtype rule_q2_k(role r, const place *p) {
    switch (r) {
    case ROLE_ATTN_V: return p->many_queries ? DTYPE_Q4_K : DTYPE_Q3_K;
    case ROLE_ATTN_OUTPUT:
    case ROLE_FFN_DOWN: return DTYPE_Q3_K;
    default: return DTYPE_Q2_K;
    }
}

static dtype rule_q3_k_m(role r, const place *p) {
    switch (r) {
    case ROLE_ATTN_V: return p->i < 2 ? DTYPE_Q5_K : DTYPE_Q4_K;
    case ROLE_FFN_DOWN: return p->i < p->n / 16 ? DTYPE_Q5_K : DTYPE_Q4_K;
    case ROLE_ATTN_OUTPUT:
    case ROLE_ATTN_QKV: return DTYPE_Q4_K;
    default: return DTYPE_Q3_K;
    }
}

static dtype rule_q3_k_l(role r, const place *p) {
    (void)p;
    switch (r) {
    case ROLE_ATTN_V:
    case ROLE_ATTN_OUTPUT:
    case ROLE_FFN_DOWN: return DTYPE_Q5_K;
    case ROLE_ATTN_QKV: return DTYPE_Q4_K;
    default: return DTYPE_Q3_K;
    }
}

static dtype rule_q4_k_s(role r, const place *p) {
    if (r == ROLE_ATTN_V && p->i < 4) return DTYPE_Q5_K;
    if (r == ROLE_FFN_DOWN && p->i < p->n / 8) return DTYPE_Q5_K;
    return DTYPE_Q4_K;
}

static dtype rule_q4_k_m(role r, const place *p) {
    if ((r == ROLE_ATTN_V || r == ROLE_FFN_DOWN) && more_bits(p)) return DTYPE_Q6_K;
    return r == ROLE_ATTN_QKV ? DTYPE_Q5_K : DTYPE_Q4_K;
}

static dtype rule_q5_k_m(role r, const place *p) {
    if ((r == ROLE_ATTN_V || r == ROLE_FFN_DOWN) && more_bits(p)) return DTYPE_Q6_K;
    return r == ROLE_ATTN_QKV ? DTYPE_Q6_K : DTYPE_Q5_K;
}

static bool early_down(role r, const place *p) { return r == ROLE_FFN_DOWN && p->i < p->n / 8; }

static dtype rule_q4_0(role r, const place *p) {
    return p->has_importance && early_down(r, p) ? DTYPE_Q4_1 : DTYPE_Q4_0;
}

static dtype rule_q5_0(role r, const place *p) {
    return p->has_importance && early_down(r, p) ? DTYPE_Q5_1 : DTYPE_Q5_0;
}

static dtype rule_iq4(role r, const place *p, dtype base) {
    if (r == ROLE_ATTN_V && p->many_queries) return DTYPE_Q5_K;
    return !p->has_importance && early_down(r, p) ? DTYPE_Q5_K : base;
}

static dtype rule_iq4_nl(role r, const place *p) { return rule_iq4(r, p, DTYPE_IQ4_NL); }
static dtype rule_iq4_xs(role r, const place *p) { return rule_iq4(r, p, DTYPE_IQ4_XS); }

static const quant_mix mixes[] = {
    {"F32", DTYPE_F32, 0, NULL},
    {"F16", DTYPE_F16, 1, NULL},
    {"BF16", DTYPE_BF16, 32, NULL},
    {"Q8_0", DTYPE_Q8_0, 7, NULL},
    {"Q6_K", DTYPE_Q6_K, 18, NULL},
    {"Q5_K_M", DTYPE_Q5_K, 17, rule_q5_k_m},
    {"Q5_K_S", DTYPE_Q5_K, 16, NULL},
    {"Q5_0", DTYPE_Q5_0, 8, rule_q5_0},
    {"Q5_1", DTYPE_Q5_1, 9, NULL},
    {"Q4_K_M", DTYPE_Q4_K, 15, rule_q4_k_m},
    {"Q4_K_S", DTYPE_Q4_K, 14, rule_q4_k_s},
    {"IQ4_NL", DTYPE_IQ4_NL, 25, rule_iq4_nl},
    {"IQ4_XS", DTYPE_IQ4_XS, 30, rule_iq4_xs},
    {"Q4_0", DTYPE_Q4_0, 2, rule_q4_0},
    {"Q4_1", DTYPE_Q4_1, 3, NULL},
    {"Q3_K_L", DTYPE_Q3_K, 13, rule_q3_k_l},
    {"Q3_K_M", DTYPE_Q3_K, 12, rule_q3_k_m},
    {"Q3_K_S", DTYPE_Q3_K, 11, NULL},
    {"Q2_K", DTYPE_Q2_K, 10, rule_q2_k},
};

const quant_mix *quant_mix_at(size_t i) {
    return i < sizeof mixes / sizeof *mixes ? &mixes[i] : NULL;
}

const quant_mix *quant_mix_by_name(const char *name) {
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (strcasecmp(mixes[i].name, name) == 0) return &mixes[i];
    return NULL;
}

const char *quant_mix_name(const quant_mix *mix) { return mix->name; }
uint32_t quant_mix_file_type(const quant_mix *mix) { return mix->file_type; }

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static role role_of(const char *name, const tensor *shape, bool has_output) {
    static const char *const kept[] = {"_norm", "ffn_gate_inp", "position_embd", "token_types"};
    if (shape->n_dims < 2) return ROLE_VECTOR;
    if (!ends_with(name, "weight")) return ROLE_KEPT;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strstr(name, kept[i])) return ROLE_KEPT;
    if (strcmp(name, has_output ? "output.weight" : "token_embd.weight") == 0) return ROLE_HEAD;
    if (strstr(name, "attn_v.weight")) return ROLE_ATTN_V;
    if (strstr(name, "attn_qkv.weight")) return ROLE_ATTN_QKV;
    if (strstr(name, "attn_output.weight")) return ROLE_ATTN_OUTPUT;
    return strstr(name, "ffn_down") ? ROLE_FFN_DOWN : ROLE_OTHER;
}

dtype quant_mix_fall_back(dtype type, size_t n) {
    if (n % dtype_get(type)->block == 0) return type;
    switch (type) {
    case DTYPE_Q2_K:
    case DTYPE_Q3_K:
    case DTYPE_IQ4_XS: type = DTYPE_IQ4_NL; break;
    case DTYPE_Q4_K: type = DTYPE_Q5_0; break;
    case DTYPE_Q5_K: type = DTYPE_Q5_1; break;
    case DTYPE_Q6_K: type = DTYPE_Q8_0; break;
    default: break;
    }
    return n % dtype_get(type)->block == 0 ? type : DTYPE_F16;
}

bool quant_mix_is_matrix(const char *name, const tensor *shape) {
    return role_of(name, shape, true) >= ROLE_HEAD;
}

dtype quant_mix_type(const quant_mix *mix, const quant_mix_model *model, const char *name,
                     const tensor *shape) {
    role r = role_of(name, shape, model->has_output);
    if (r == ROLE_VECTOR) return DTYPE_F32;
    if (r == ROLE_KEPT) return shape->type;
    dtype type = mix->base;
    bool quantised = dtype_get(mix->base)->block > 1;
    if (r == ROLE_HEAD && quantised) {
        type = mix->base == DTYPE_Q8_0 ? DTYPE_Q8_0 : DTYPE_Q6_K;
    } else if (mix->rule) {
        place p = {
            .n = model->n_layers,
            .many_queries = model->n_heads >= 4 * model->n_kv_heads,
            .has_importance = model->has_importance,
        };
        if (sscanf(name, "blk.%zu.", &p.i) == 1 ||
            sscanf(name, "%*[a-z].blk.%zu.", &p.i) == 1) type = mix->rule(r, &p);
    }
    return quant_mix_fall_back(type, shape->ne[0]);
}
