/* What a registry asks for, and who may hear a password. */
#include "test.h"
#include "weights/registry_login.h"

static void a_challenge_tells_where_and_for_what(void) {
    registry_challenge c;
    CHECK(registry_challenge_parse(&c, "Bearer realm=\"https://auth.example/token\","
                                       "service=\"registry.example\",scope=\"repository:x:pull\""));
    CHECK(c.is_bearer && !strcmp(c.realm, "https://auth.example/token"));
    CHECK(!strcmp(c.service, "registry.example"));
    CHECK(registry_challenge_parse(&c, "bearer service=\"\", realm=\"https://a/b?service=c\""));
    CHECK(!strcmp(c.realm, "https://a/b?service=c") && !c.service[0]);
    CHECK(registry_challenge_parse(&c, "Basic realm=\"models\"") && !c.is_bearer);
}

static void a_challenge_that_is_none_is_refused(void) {
    static const char *const bad[] = {"", "Digest realm=\"x\"", "Bearer", "Bearer realm=",
                                      "Bearer realm=\"https://x", "Bearer myrealm=\"https://x\"",
                                      "Basically realm=\"x\""};
    registry_challenge c;
    char text[700] = "Bearer realm=\"";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!registry_challenge_parse(&c, bad[i]), "%s", bad[i]);
    memset(text + 14, 'x', 600);
    strcpy(text + 614, "\"");
    CHECK(!registry_challenge_parse(&c, text));
}

static void users_belong_to_hosts(void) {
    const char *list = " a:b@one.example  c:p@ss:w@two.example:5000 nonsense @three x@four";
    char user[32];
    CHECK(registry_find_user(user, sizeof user, list, "one.example") && !strcmp(user, "a:b"));
    CHECK(registry_find_user(user, sizeof user, list, "two.example:5000"));
    CHECK(!strcmp(user, "c:p@ss:w"));
    CHECK(!registry_find_user(user, sizeof user, list, "two.example"));
    CHECK(!registry_find_user(user, sizeof user, list, "example"));
    CHECK(!registry_find_user(user, sizeof user, list, "three"));
    CHECK(!registry_find_user(user, sizeof user, list, "four"));
    CHECK(!registry_find_user(user, 4, list, "two.example:5000"));
}

static void passwords_stay_in_their_domain(void) {
    CHECK(registry_trusts("registry.example.org", "https://registry.example.org/token"));
    CHECK(registry_trusts("registry-1.example.org", "https://auth.EXAMPLE.org:8443/token?x"));
    CHECK(!registry_trusts("registry.example.org", "https://example.org.evil.net/token"));
    CHECK(!registry_trusts("registry.example.org", "https://evil.net/example.org"));
    CHECK(!registry_trusts("registry.example.org", "https://evilexample.org/"));
    CHECK(registry_trusts("127.0.0.1:5000", "http://127.0.0.1:5001/token"));
    CHECK(!registry_trusts("127.0.0.1:5000", "http://10.0.0.1/token"));
    CHECK(!registry_trusts("registry.example.org", "nothing"));
    CHECK(registry_trusts("localhost:5000", "http://localhost:5001/token"));
}

int main(void) {
    RUN(a_challenge_tells_where_and_for_what);
    RUN(a_challenge_that_is_none_is_refused);
    RUN(users_belong_to_hosts);
    RUN(passwords_stay_in_their_domain);
    return test_summary();
}
