/* The shortest use of the library: example MODEL PROMPT prints what the model goes on with. */
#include <hone/hone.h>
#include <stdio.h>
#include <string.h>

static int show(void *user, const hone_piece *piece) {
    return fputs(piece->text, user) < 0; /* anything but 0 stops the answer */
}

int main(int argc, char **argv) {
    hone_model *model = NULL;
    hone_session *session = NULL;
    hone_result result = {0};
    hone_request request = {.prompt = argc > 2 ? argv[2] : "", .sampling = hone_sampling_greedy(),
                            .max_tokens = 60, .on_piece = show, .user = stdout};
    request.prompt_bytes = strlen(request.prompt);
    int failed = hone_model_open(&model, argc > 1 ? argv[1] : "", NULL) ||
                 hone_session_open(&session, model, NULL) ||
                 hone_generate(session, &request, &result);
    if (failed) fprintf(stderr, "%s\n", hone_error_message());
    hone_result_release(&result);
    hone_session_close(session);
    hone_model_close(model);
    return failed;
}
