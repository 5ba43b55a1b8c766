/* Every name that an expression may hold (include/hone/strategy.h, docs/strategies.md). */
#include "strategy/strategy_int.h"

#define PROGRAM HONE_STRATEGY_PROGRAM
#define TRANSFORM HONE_STRATEGY_TRANSFORM
#define SAMPLER HONE_STRATEGY_SAMPLER
#define SELECTOR HONE_STRATEGY_SELECTOR

const strategy_def strategy_defs[] = {
    /* --- programs --- */
    {.info = {"none", PROGRAM, 0, "one answer, as the request samples it", "", ""},
     .program = program_none},
    {.info = {"sc", PROGRAM, 16,
              "self-consistency: draws in waves of four, the answer that most of them give; stops "
              "when that cannot or will hardly change",
              "Wang et al. 2022 (arXiv 2203.11171); Aggarwal et al. 2023 (arXiv 2305.11860)", ""},
     .aliases = "self_consistency self-consistency majority_voting",
     .program = program_sc},
    {.info = {"cisc", PROGRAM, 8, "self-consistency with votes weighed by P(True)",
              "Taubenfeld et al. 2025 (arXiv 2502.06233)", ""},
     .program = program_cisc},
    {.info = {"bon", PROGRAM, 8,
              "best of n: by the checker where there is one, else by the model's expected rating, "
              "else by its certainty",
              "", "without a checker the model judges itself, which small ones do badly"},
     .aliases = "best_of_n best-of-n",
     .program = program_bon},
    /* --- transforms --- */
    {.info = {"re2", TRANSFORM, 0, "the question is read twice", "Xu et al. 2023 (arXiv 2309.06275)",
              "unproven below 7B"},
     .aliases = "reread",
     .transform = shape_re2},
    {.info = {"cot", TRANSFORM, 0, "asks to think step by step and to close with the answer",
              "Kojima et al. 2022 (arXiv 2205.11916)", ""},
     .transform = shape_steps},
    {.info = {"role", TRANSFORM, 0, "asks as one would ask an expert of the field", "",
              "no gain shown for questions with one right answer"},
     .transform = shape_expert},
    {.info = {"structured", TRANSFORM, 0, "asks for an answer in numbered parts", "", ""},
     .transform = shape_structure},
    /* --- samplers --- */
    {.info = {"sample", SAMPLER, 8, "draws at one temperature (the request's, at least 0.7)", "", ""},
     .sample = sample_alike},
    {.info = {"diverse", SAMPLER, 4, "draws at temperatures from 0.5 to 0.9", "",
              "a schedule of draws; it chooses nothing by itself"},
     .sample = sample_ladder},
    /* --- selectors --- */
    {.info = {"first", SELECTOR, 0, "the first draw that is whole: the A/A control", "", ""},
     .select = select_first},
    {.info = {"vote", SELECTOR, 0, "the answer that most draws give", "", ""}, .select = select_vote},
    {.info = {"weighted", SELECTOR, 0, "votes weighed by P(True)", "", ""},
     .select = select_weighted},
    {.info = {"check", SELECTOR, 0, "the draw that the checker likes best", "", ""},
     .select = select_check},
    {.info = {"rating", SELECTOR, 0, "the expected digit of a rating from 0 to 9, read from logits",
              "", "small models rate everything alike"},
     .select = select_rating},
    {.info = {"ptrue", SELECTOR, 0, "the probability of Yes when asked whether the answer is right",
              "Kadavath et al. 2022 (arXiv 2207.05221)", ""},
     .select = select_p_true},
    {.info = {"certainty", SELECTOR, 0, "self-certainty of the tokens",
              "Kang et al. 2025 (arXiv 2502.18581)", ""},
     .select = select_certainty},
};

const size_t n_strategy_defs = sizeof strategy_defs / sizeof *strategy_defs;

const hone_strategy_info *hone_strategy_describe(size_t i) {
    return i < n_strategy_defs ? &strategy_defs[i].info : NULL;
}
