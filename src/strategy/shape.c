/* Strategies that change the prompt and nothing else. */
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

hone_status shape_re2(chat *prompt) {
    char *question;
    TRY(chat_question(prompt, &question));
    hone_status status = chat_add_to_question(prompt, "\nRead the question again: ");
    if (status == HONE_OK) status = chat_add_to_question(prompt, question);
    mem_free(question);
    return status;
}

hone_status shape_steps(chat *prompt) {
    return chat_add_to_question(prompt,
                                "\n\nThink step by step. Then close with one line: \"The answer is\" and "
                                "the answer.");
}

hone_status shape_expert(chat *prompt) {
    return chat_add_system(prompt, "You are an expert in the field of the question, careful and "
                                   "precise.");
}

hone_status shape_structure(chat *prompt) {
    return chat_add_to_question(prompt,
                                "\n\nAnswer in numbered parts: 1. what is asked, 2. what is known, "
                                "3. the solution, 4. the answer.");
}
