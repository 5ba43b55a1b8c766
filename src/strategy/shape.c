/* Strategies that change the prompt and nothing else. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

/* The question, `text` behind it, and where `twice` is set the question again. */
static hone_status add_to_question(chat *prompt, const char *text, bool twice) {
    char *question;
    TRY(chat_question(prompt, &question));
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = buf_add_format(&b, "%s%s%s", question, text, twice ? question : "");
    if (status == HONE_OK) status = chat_set_question(prompt, b.data);
    buf_release(&b);
    mem_free(question);
    return status;
}

hone_status shape_re2(chat *prompt) {
    return add_to_question(prompt, "\nRead the question again: ", true);
}

hone_status shape_steps(chat *prompt) {
    return add_to_question(prompt,
                           "\n\nThink step by step. Then close with one line: \"The answer is\" and "
                           "the answer.", false);
}

hone_status shape_expert(chat *prompt) {
    return chat_add_system(prompt, "You are an expert in the field of the question, careful and "
                                   "precise.");
}

hone_status shape_structure(chat *prompt) {
    return add_to_question(prompt,
                           "\n\nAnswer in numbered parts: 1. what is asked, 2. what is known, "
                           "3. the solution, 4. the answer.", false);
}
