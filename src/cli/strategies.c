/* `hone strategies`: the names that --strategy takes. */
#include <jansson.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "hone/strategy.h"

static const char *kind_name(hone_strategy_kind kind) {
    switch (kind) {
    case HONE_STRATEGY_PROGRAM: return "program";
    case HONE_STRATEGY_TRANSFORM: return "transform";
    case HONE_STRATEGY_SAMPLER: return "sampler";
    case HONE_STRATEGY_SELECTOR: return "selector";
    }
    return "";
}

static int print_table(void) {
    static const char *const headers[] = {"name", "kind", "draws", "what it does"};
    const hone_strategy_info *info;
    cli_table table;
    cli_table_init(&table, "llrl", headers);
    for (size_t i = 0; (info = hone_strategy_describe(i)); i++) {
        cli_table_add(&table, "%s", info->name);
        cli_table_add(&table, "%s", kind_name(info->kind));
        if (info->n_draws) cli_table_add(&table, "%zu", info->n_draws);
        else cli_table_add(&table, "%s", "");
        cli_table_add(&table, "%s", info->summary);
        if (!*info->advice) continue;
        for (int column = 0; column < 3; column++) cli_table_add(&table, "%s", "");
        cli_table_add(&table, "  note: %s", info->advice);
    }
    return cli_table_print(&table);
}

static int print_json(void) {
    const hone_strategy_info *info;
    json_t *list = json_array();
    for (size_t i = 0; (info = hone_strategy_describe(i)); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "name", info->name,
                                              "kind", kind_name(info->kind), "draws",
                                              (json_int_t)info->n_draws, "summary", info->summary,
                                              "reference", info->reference, "advice",
                                              info->advice));
    return cli_print_json(json_pack("{s:o}", "strategies", list), false);
}

int cmd_strategies(int argc, char **argv) {
    bool json = false;
    const cli_option options[] = {
        CLI_FLAG("json", 0, &json, "print one JSON object, with the papers, too"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "strategies",
        .operands = "",
        .about = "Lists what `hone run --strategy` takes. A program stands alone, with its number "
                 "of draws behind the name (sc8). Transforms of the prompt stand before it, joined "
                 "by \"&\"; a sampler and a selector make a program of their own; \"|\" runs "
                 "several and ends in a selector. \"with\" names models that are asked beside the "
                 "first; \"@\" sets the bar of a cascade or a check. The notes say what is advised "
                 "against, or does little for small models: such strategies are there to be "
                 "measured (hone compare --strategies).",
        .examples = "hone run smollm2:135m --strategy \"re2 & sc8\" --trace \"What is 17 + 25?\"\n"
                    "hone run smollm2:135m --strategy \"diverse4 & vote\" \"What is 17 + 25?\"\n"
                    "hone run smollm2:135m --strategy \"none | cot & sc4 | vote\" \"…\"\n"
                    "hone run smollm2:135m --strategy \"cascade4@0.75 with qwen2.5:1.5b\" \"…\"\n",
        .options = options,
        .min_operands = 0,
        .max_operands = 0,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    return json ? print_json() : print_table();
}
