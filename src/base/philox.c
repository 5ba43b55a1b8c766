#include "base/philox.h"

enum { N_ROUNDS = 10 };

philox_block philox4x32(philox_block counter, uint64_t key) {
    uint32_t *c = counter.word;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < N_ROUNDS; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * c[0];
        uint64_t product1 = (uint64_t)0xCD9E8D57u * c[2];
        c[0] = (uint32_t)(product1 >> 32) ^ c[1] ^ k0;
        c[1] = (uint32_t)product1;
        c[2] = (uint32_t)(product0 >> 32) ^ c[3] ^ k1;
        c[3] = (uint32_t)product0;
        k0 += 0x9E3779B9u; /* the golden ratio and √3 − 1, as 32-bit fractions */
        k1 += 0xBB67AE85u;
    }
    return counter;
}
