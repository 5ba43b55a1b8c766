#include "tensor/kernels.h"

#include <pthread.h>

#include "tensor/kernels_int.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static kernels tables[CPU_NEON + 1][2]; /* [isa][with extras] */

static void fill(kernels *k, cpu_isa isa, unsigned extras) {
    (void)extras;
    kernels_fill_scalar(k);
#if defined(__x86_64__)
    if (isa == CPU_AVX2 || isa == CPU_AVX512) {
        kernels_fill_avx2(k);
        kernels_fill_avx2_attention(k);
        kernels_fill_avx2_quant(k);
        kernels_fill_avx2_rows(k);
        kernels_fill_avx2_gemm(k);
        kernels_fill_avx2_encode(k);
    }
    if (isa == CPU_AVX512) {
        kernels_fill_avx512(k);
        kernels_fill_avx512_attention(k);
        kernels_fill_avx512_encode(k);
        if (extras & CPU_HAS_VNNI) {
            kernels_fill_avx512_vnni(k);
            kernels_fill_avx512_vnni_rows(k);
        }
        if (extras & CPU_HAS_BF16) kernels_fill_avx512_bf16(k);
    }
#elif defined(__aarch64__)
    if (isa == CPU_NEON) {
        kernels_fill_neon(k);
        kernels_fill_neon_attention(k);
        if (extras & CPU_HAS_DOTPROD) kernels_fill_neon_dotprod(k);
    }
#else
    (void)isa;
#endif
}

static void fill_all(void) {
    for (int isa = CPU_SCALAR; isa <= CPU_NEON; isa++) {
        fill(&tables[isa][0], (cpu_isa)isa, 0);
        fill(&tables[isa][1], (cpu_isa)isa, cpu_extras());
    }
}

hone_status kernels_get_isa(const kernels **table, cpu_isa isa, bool without_extras) {
    cpu_isa best = cpu_best_isa();
    if (isa != CPU_SCALAR && isa != best && !(isa == CPU_AVX2 && best == CPU_AVX512))
        return fail(HONE_ERR_UNSUPPORTED, "kernels: this machine has no %s", cpu_isa_name(isa));
    pthread_once(&once, fill_all);
    *table = &tables[isa][!without_extras];
    return HONE_OK;
}

hone_status kernels_get(const kernels **table) {
    cpu_isa isa;
    TRY(cpu_chosen_isa(&isa));
    return kernels_get_isa(table, isa, false);
}
