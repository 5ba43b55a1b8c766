/* `hone version`: what this program is and what it runs on. */
#include <curl/curl.h>
#include <histedit.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <utf8proc.h>
#include <zip.h>

#include "base/cpu.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

/* "model name : …" of /proc/cpuinfo; the machine's architecture where there is none. */
static void find_processor(char *name, size_t n) {
    struct utsname system;
    snprintf(name, n, "%s", uname(&system) == 0 ? system.machine : "unknown");
    FILE *in = fopen("/proc/cpuinfo", "r");
    char line[512];
    while (in && fgets(line, sizeof line, in)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, n, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (in) fclose(in);
}

static const struct {
    unsigned bit;
    const char *name;
} extras[] = {
    {CPU_HAS_VNNI, "avx512-vnni"},
    {CPU_HAS_BF16, "avx512-bf16"},
    {CPU_HAS_DOTPROD, "dotprod"},
};
enum { N_EXTRAS = sizeof extras / sizeof *extras };

typedef struct library {
    const char *name, *version, *role;
} library;

enum { N_LIBRARIES = 6 };

static void find_libraries(library libraries[N_LIBRARIES]) {
    const library found[N_LIBRARIES] = {
        {"jansson", jansson_version_str(), "JSON"},
        {"utf8proc", utf8proc_version(), "Unicode"},
        {"libcurl", curl_version_info(CURLVERSION_NOW)->version, "downloads"},
        {"libzip", zip_libzip_version(), "models inside archives"},
        {"libcrypto", OpenSSL_version(OPENSSL_VERSION), "checksums"},
        {"libedit", TEXT_OF(LIBEDIT_MAJOR) "." TEXT_OF(LIBEDIT_MINOR), "line editing"},
    };
    memcpy(libraries, found, sizeof found);
}

static int print_json(const char *processor, cpu_isa chosen, const library *libraries) {
    json_t *features = json_array(), *library_list = json_object();
    json_array_append_new(features, json_string(cpu_isa_name(cpu_best_isa())));
    for (size_t i = 0; i < N_EXTRAS; i++) {
        if (cpu_extras() & extras[i].bit) {
            json_array_append_new(features, json_string(extras[i].name));
        }
    }
    for (size_t i = 0; i < N_LIBRARIES; i++) {
        json_object_set_new(library_list, libraries[i].name, json_string(libraries[i].version));
    }
    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:s, s:i, s:I, s:o}", "version",
                             hone_version(), "compiler", COMPILER, "cpu", processor, "features",
                             features, "kernels", cpu_isa_name(chosen), "usable_cores",
                             cpu_usable_count(), "memory_bytes",
                             (json_int_t)system_memory_bytes(), "libraries", library_list);
    return cli_print_json(root, false);
}

static int print_page(const char *processor, cpu_isa chosen, const library *libraries) {
    cli_table t;
    cli_text bytes;
    cli_table_init(&t, "lll", NULL);
    const struct {
        const char *key, *value;
    } rows[] = {
        {"compiler", COMPILER},
        {"processor", processor},
        {"memory", cli_format_bytes(&bytes, system_memory_bytes())},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cli_table_add(&t, "%s", rows[i].key);
        cli_table_add(&t, "%s", rows[i].value);
        cli_table_add(&t, "%s", "");
    }
    cli_table_add(&t, "usable cores");
    cli_table_add(&t, "%d", cpu_usable_count());
    cli_table_add(&t, "%s", "");
    char features[128];
    int n = snprintf(features, sizeof features, "%s", cpu_isa_name(cpu_best_isa()));
    for (size_t i = 0; i < N_EXTRAS; i++) {
        if (!(cpu_extras() & extras[i].bit)) continue;
        n += snprintf(features + n, sizeof features - (size_t)n, " %s", extras[i].name);
    }
    cli_table_add(&t, "features");
    cli_table_add(&t, "%s", features);
    cli_table_add(&t, "%s", "");
    cli_table_add(&t, "kernels");
    cli_table_add(&t, "%s", cpu_isa_name(chosen));
    cli_table_add(&t, "%s", chosen != cpu_best_isa() ? "(by HONE_CPU)" : "");
    for (size_t i = 0; i < N_LIBRARIES; i++) {
        cli_table_add(&t, "%s", libraries[i].name);
        cli_table_add(&t, "%s", libraries[i].version);
        cli_table_add(&t, "%s", libraries[i].role);
    }
    return cli_table_print(&t);
}

int cmd_version(int argc, char **argv) {
    bool verbose = false, json = false;
    const cli_option options[] = {
        CLI_FLAG("verbose", 'v', &verbose, "also processor features, kernels in use, libraries"),
        CLI_FLAG("json", 0, &json, "print one JSON object with everything"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {.command = "version",
                             .operands = "",
                             .about = "Says which hone this is and what it found on this machine.",
                             .examples = "  hone version --verbose\n"
                                         "  HONE_CPU=scalar hone version -v\n",
                             .options = options};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!json) printf("hone %s\n", hone_version());
    if (!json && !verbose) return CLI_OK;
    cpu_isa chosen;
    if (cpu_chosen_isa(&chosen) != HONE_OK) {
        cli_error("%s", hone_error_message());
        return CLI_USAGE;
    }
    char processor[256];
    library libraries[N_LIBRARIES];
    find_processor(processor, sizeof processor);
    find_libraries(libraries);
    return json ? print_json(processor, chosen, libraries)
                : print_page(processor, chosen, libraries);
}
