#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

hone_status sha256_init(sha256_hash *hash) {
    hash->context = EVP_MD_CTX_new();
    if (!hash->context) return mem_fail("SHA-256", 0);
    if (EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1) return HONE_OK;
    sha256_release(hash);
    return fail(HONE_ERR_UNSUPPORTED, "libcrypto offers no SHA-256");
}

void sha256_release(sha256_hash *hash) {
    EVP_MD_CTX_free(hash->context);
    hash->context = NULL;
}

hone_status sha256_add(sha256_hash *hash, const void *bytes, size_t n) {
    if (EVP_DigestUpdate(hash->context, bytes, n) == 1) return HONE_OK;
    return fail(HONE_ERR_IO, "libcrypto cannot compute SHA-256");
}

hone_status sha256_finish(sha256_hash *hash, sha256_hex *hex) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_DigestFinal_ex(hash->context, digest, &n) != 1 || n != 32)
        return fail(HONE_ERR_IO, "libcrypto cannot compute SHA-256");
    for (size_t i = 0; i < 32; i++) snprintf(hex->text + 2 * i, 3, "%02x", digest[i]);
    return HONE_OK;
}

hone_status sha256_of_text(sha256_hex *hex, const char *text) {
    sha256_hash hash;
    TRY(sha256_init(&hash));
    hone_status status = sha256_add(&hash, text, strlen(text));
    if (status == HONE_OK) status = sha256_finish(&hash, hex);
    sha256_release(&hash);
    return status;
}

static hone_status add_file(sha256_hash *hash, int fd, const char *path,
                            bool (*go_on)(void *context, uint64_t bytes), void *context) {
    enum { BLOCK = 1 << 20 };
    char *block = mem_alloc(BLOCK);
    if (!block) return mem_fail("SHA-256", BLOCK);
    hone_status status = HONE_OK;
    uint64_t done = 0;
    while (status == HONE_OK) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = fail(HONE_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0) break;
        status = sha256_add(hash, block, (size_t)n);
        done += (uint64_t)n;
        if (status == HONE_OK && go_on && !go_on(context, done))
            status = fail(HONE_ERR_CANCELLED, "cancelled");
    }
    mem_free(block);
    return status;
}

hone_status sha256_of_file(sha256_hex *hex, const char *path,
                           bool (*go_on)(void *context, uint64_t bytes), void *context) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(errno == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s", path,
                    strerror(errno));
    sha256_hash hash;
    hone_status status = sha256_init(&hash);
    if (status == HONE_OK) {
        status = add_file(&hash, fd, path, go_on, context);
        if (status == HONE_OK) status = sha256_finish(&hash, hex);
        sha256_release(&hash);
    }
    close(fd);
    return status;
}

bool sha256_is_hex(const char *text) {
    return strspn(text, "0123456789abcdef") == 64 && text[64] == 0;
}
