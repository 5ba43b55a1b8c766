/* Strategies that change the prompt and nothing else. */
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

hone_status shape_re2(strategy_run *r, size_t n) {
    (void)n;
    char *question;
    TRY(chat_question(&r->prompt, &question));
    hone_status status = chat_add_to_question(&r->prompt, "\nRead the question again: ");
    if (status == HONE_OK) status = chat_add_to_question(&r->prompt, question);
    mem_free(question);
    return status;
}

hone_status shape_steps(strategy_run *r, size_t n) {
    (void)n;
    return chat_add_to_question(&r->prompt,
                                "\n\nThink step by step. Then close with one line: \"The answer "
                                "is\" and the answer.");
}

hone_status shape_expert(strategy_run *r, size_t n) {
    (void)n;
    return chat_add_system(&r->prompt,
                           "You are an expert in the field of the question, careful and "
                           "precise.");
}

hone_status shape_structure(strategy_run *r, size_t n) {
    (void)n;
    return chat_add_to_question(&r->prompt,
                                "\n\nAnswer in numbered parts: 1. what is asked, 2. what is known, "
                                "3. the solution, 4. the answer.");
}
