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
    {.info = {"code-bon", PROGRAM, 8,
              "best of n for code: by tests, with one repair; without tests by what the programs print",
              "", ""},
     .program = program_code_bon},
    {.info = {"retry", PROGRAM, 3,
              "one answer, checked from outside; while it fails it is asked for again, with the fault",
              "", ""},
     .program = program_retry},
    {.info = {"think-cap", PROGRAM, 16,
              "ends the thoughts of a thinking model after 64 tokens for each of its number, or once "
              "the answer that it is made to tell after every 128 has been the same three times",
              "Muennighoff et al. 2025 (arXiv 2501.19393); Fu et al. 2024 (arXiv 2412.20993)", ""},
     .program = program_think_cap},
    {.info = {"deepconf", PROGRAM, 16,
              "ends draws whose confidence falls below that of a warm-up; votes weighed by it",
              "Fu et al. 2025 (arXiv 2508.15260)", ""},
     .program = program_deepconf},
    {.info = {"cot-decode", PROGRAM, 8,
              "a greedy answer from each of the most probable first tokens; votes weighed by the "
              "margin of the answer's tokens",
              "Wang and Zhou 2024 (arXiv 2402.10200)", "helps base models; instruct models reason anyway"},
     .aliases = "cot_decoding cot_decode",
     .program = program_cot_decode},
    {.info = {"moa", PROGRAM, 3, "mixture of agents: drafts, then one answer that makes the best of them",
              "Wang et al. 2024 (arXiv 2406.04692)",
              "below 4B the synthesis mixes wrong parts in; measure it"},
     .program = program_moa},
    {.info = {"rsa", PROGRAM, 4, "recursive self-aggregation: every answer is rewritten twice from three "
              "others, then a vote",
              "Venkatraman et al. 2025 (arXiv 2509.26626)", "no evidence below 4B; three times the cost of sc"},
     .program = program_rsa},
    {.info = {"pvg", PROGRAM, 3, "as many helpful as deliberately wrong answers, and a verifier",
              "Kirchner et al. 2024 (arXiv 2407.13692)",
              "advised against: the paper trains both sides and claims no gain without"},
     .program = program_pvg},
    {.info = {"leap", PROGRAM, 0, "makes mistakes on the examples in the conversation and learns from them",
              "Zhang et al. 2024 (arXiv 2402.05403)", "needs examples; small models' lessons are generic"},
     .program = program_leap},
    {.info = {"plansearch", PROGRAM, 4, "observations about the problem, an answer from each subset of them",
              "Wang et al. 2024 (arXiv 2409.03733)",
              "gives diversity, not accuracy: it wants a checker behind it"},
     .program = program_plansearch},
    {.info = {"rstar", PROGRAM, 4, "tree search over five kinds of steps, with a discriminator; the number "
              "is that of roll-outs",
              "Qi et al. 2024 (arXiv 2408.06195)", "dozens of draws"},
     .program = program_rstar},
    {.info = {"cot_reflection", PROGRAM, 0, "thinks, reflects and answers between tags that a grammar holds",
              "", "advised against: the reflection seldom changes the answer"},
     .program = program_reflection},
    {.info = {"rto", PROGRAM, 0, "round trip for code: written, described, written again; kept where both "
              "behave alike",
              "Allamanis et al. 2024 (arXiv 2402.08699)", "an evaluation method rather than a strategy"},
     .program = program_round_trip},
    /* --- programs over several models --- */
    {.info = {"ensemble", PROGRAM, 6,
              "a vote of several models, each with its part of the draws; ties go to the first model",
              "Li et al. 2024 (arXiv 2402.05120)", "weak models outvote a strong one", 0},
     .program = program_ensemble},
    {.info = {"verify", PROGRAM, 3,
              "the second model says how probable it is that the first one's answer is right (by "
              "logits); below the bar another answer is drawn, and the most probable one stands",
              "Kadavath et al. 2022 (arXiv 2207.05221)", "a checker below 4B believes almost anything",
              0.5},
     .program = program_verify},
    {.info = {"cascade", PROGRAM, 4,
              "the first model draws; where fewer than the bar agree the next one is asked, the last "
              "one for a single answer",
              "Yue et al. 2023 (arXiv 2310.03094)",
              "pays where the first model knows what it knows: measure the bar (hone compare --cascade)",
              0.75},
     .program = program_cascade},
    {.info = {"chain", PROGRAM, 0,
              "each model sees the question with the answer of the one before, and answers anew", "",
              "a weak model may spoil what a strong one has said: the strongest comes last", 0},
     .program = program_chain},
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
    {.info = {"shots", TRANSFORM, 3, "shows the first of the examples that were given, with their "
              "answers, before the question", "Brown et al. 2020 (arXiv 2005.14165)", "", 0},
     .aliases = "few_shot few-shot",
     .transform = shape_shots},
    {.info = {"nearest", TRANSFORM, 3, "shows those of the examples that resemble the question most (by "
              "letter trigrams), the nearest last", "Liu et al. 2021 (arXiv 2101.06804)", "", 0},
     .transform = shape_nearest},
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
