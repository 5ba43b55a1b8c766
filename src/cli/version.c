/* `hone version`: what this program is and what it runs on. */
#include <curl/curl.h>
#include <histedit.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <zip.h>

#include "base/cpu.h"
#include "base/system.h"
#include "cli/cli.h"
#include "lab/machine.h"
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
        {"libcrypto", OpenSSL_version(OPENSSL_VERSION_STRING), "checksums"},
        {"libedit", TEXT_OF(LIBEDIT_MAJOR) "." TEXT_OF(LIBEDIT_MINOR), "line editing"},
    };
    memcpy(libraries, found, sizeof found);
}

static int print_json(const char *processor, const char *kernels, const library *libraries) {
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
    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:s, s:i, s:i, s:I, s:o}", "version",
                             hone_version(), "compiler", COMPILER, "cpu", processor, "features",
                             features, "kernels", kernels, "usable_cores",
                             cpu_usable_count(), "threads", cpu_choose_threads().n_threads,
                             "memory_bytes", (json_int_t)system_look_at_memory("").limit,
                             "libraries", library_list);
    return cli_print_json(root, false);
}

static void row(cli_table *table, const char *key, const char *value, const char *remark) {
    cli_table_add(table, "%s", key);
    cli_table_add(table, *remark ? "%s (%s)" : "%s", value, remark);
}

/* Why --threads auto is what it is: "1 of 4 processors, the quota pays for 2". */
static const char *explain_threads(char *text, size_t size) {
    const cpu_choice c = cpu_choose_threads();
    int n = snprintf(text, size, "%d of %d processors may be used", c.n_allowed, c.n_online);
    if (c.n_cores < c.n_allowed)
        n += snprintf(text + n, size - (size_t)n, ", on %d cores", c.n_cores);
    if (c.n_fast < c.n_cores)
        n += snprintf(text + n, size - (size_t)n, ", %d of them fast", c.n_fast);
    if (c.quota) snprintf(text + n, size - (size_t)n, ", a quota pays for %d", c.quota);
    return text;
}

static int print_page(const char *processor, const char *kernels, const library *libraries) {
    cli_table t;
    cli_text bytes;
    char features[128], threads[16], reason[160];
    int n = snprintf(features, sizeof features, "%s", cpu_isa_name(cpu_best_isa()));
    for (size_t i = 0; i < N_EXTRAS; i++) {
        if (!(cpu_extras() & extras[i].bit)) continue;
        n += snprintf(features + n, sizeof features - (size_t)n, " %s", extras[i].name);
    }
    snprintf(threads, sizeof threads, "%d", cpu_choose_threads().n_threads);
    cli_table_init(&t, "ll", NULL);
    row(&t, "compiler", COMPILER, "");
    row(&t, "processor", processor, "");
    row(&t, "threads", threads, explain_threads(reason, sizeof reason));
    row(&t, "memory", cli_format_bytes(&bytes, system_look_at_memory("").limit), "");
    row(&t, "features", features, "");
    const char *forced = getenv("HONE_CPU");
    row(&t, "kernels", kernels, forced && *forced ? "by HONE_CPU" : "");
    for (size_t i = 0; i < N_LIBRARIES; i++) {
        row(&t, libraries[i].name, libraries[i].version, libraries[i].role);
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
                             .examples = "hone version --verbose\n"
                                         "HONE_CPU=scalar hone version -v\n",
                             .options = options};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    const char *kernels;
    if (!verbose && !json) {
        printf("hone %s\n", hone_version());
        return CLI_OK;
    }
    if (hone_instruction_set(&kernels) != HONE_OK) {
        cli_error("%s", hone_error_message());
        return CLI_USAGE;
    }
    char processor[256];
    library libraries[N_LIBRARIES];
    machine_processor_name(processor, sizeof processor);
    find_libraries(libraries);
    if (!json) printf("hone %s\n", hone_version());
    return json ? print_json(processor, kernels, libraries)
                : print_page(processor, kernels, libraries);
}
