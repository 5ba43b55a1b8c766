/* What a registry's 401 says, and whom its realm may be told about. */
#include <stdlib.h>
#include <string.h>

#include "weights/registry_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    registry_challenge c;
    char user[64], *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (registry_challenge_parse(&c, text)) registry_trusts("registry.example.org", c.realm);
    registry_trusts(text, "https://registry.example.org");
    registry_find_user(user, sizeof user, text, "host");
    free(text);
    return 0;
}
