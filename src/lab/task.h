/* Tasks as data: a manifest (JSON) says how a model is asked and how its answers are judged; a file
 * of items (JSON lines) says what is asked. docs/eval.md has both formats.
 *
 * Manifests lie in the folders of $HONE_TASKS, or else beside the program (share/hone/tasks), and
 * in `tasks` among the user's data (weights/paths.h), where fetched items are kept, too. */
#ifndef LAB_TASK_H
#define LAB_TASK_H

#include "base/fs.h"
#include "base/json.h"
#include "base/sha256.h"

typedef enum task_kind {
    TASK_CHOICE,      /* the most probable of several continuations */
    TASK_CLOZE,       /* the context that makes one continuation most probable */
    TASK_NUMBER,      /* a number in the answer */
    TASK_EXACT,       /* the answer's text, or one of several */
    TASK_IFEVAL,      /* instructions that can be checked */
    TASK_CODE,        /* a program that passes its tests */
    TASK_CRUX,        /* what a function returns, and for what it returns it */
    TASK_TRANSLATION, /* chrF beside a reference */
    TASK_SUMMARY,     /* ROUGE-L beside references */
    TASK_SPEECH,      /* word error rate */
    TASK_OPEN         /* answers that only somebody else can judge */
} task_kind;

enum { TASK_MAX_STOPS = 8, TASK_MAX_ITEMS = 100000 };

/* What of a completion belongs to the program. */
typedef enum task_cut {
    TASK_CUT_NONE,          /* all */
    TASK_CUT_LINE,          /* its first line */
    TASK_CUT_BRACE_LINE,    /* up to and with the first line that is "}" */
    TASK_CUT_CLOSING_BRACE, /* up to and with the brace that closes the one open at its beginning */
    TASK_CUT_CLOSING_CALL   /* up to the bracket that closes the call open at its beginning */
} task_cut;

typedef struct task_shots {
    json_t *items;    /* array */
    size_t n;         /* of them before each item; 0 = none */
    const char *head, *form; /* before all of them, and for each */
    const char *match;       /* the member that must be the same; NULL = any */
    bool nearest; /* not the first ones, but those whose "question" resembles the item's */
} task_shots;

/* Texts belong to the manifest. */
typedef struct task {
    const char *name, *description, *licence, *origin;
    task_kind kind;
    const char *prompt;       /* form (lab/prompt_form.h) */
    const char *chat_prompt;  /* of the user's turn, where it is asked through a template */
    const char *answer_prompt; /* of a choice, where a letter is asked for; has {options} */
    const char *system;       /* NULL = none */
    const char *continuation; /* form; has {choice} and {label} besides the item's members */
    const char *prompt_input; /* the other direction of TASK_CRUX */
    const char *program, *language, *defines; /* of TASK_CODE */
    const char *check; /* of TASK_CODE: as `program`, with what the prompt shows in place of the
                          tests: strategies may check answers with it. NULL = they cannot */
    const char *group;        /* member by which figures are given apart; NULL = none */
    bool chat;                /* through the model's template, unless somebody says otherwise */
    task_cut cut;
    const char *stop[TASK_MAX_STOPS];
    size_t n_stop, max_tokens;
    task_shots shots;
    json_t *manifest, *items; /* object; array of objects, each with an `id` */
    size_t n_items;
    fs_path folder;           /* of the items: what they name by relative path lies there */
    sha256_hex template_sha256, items_sha256; /* of the manifest's file and of the items' file */
} task;

/* Opens a task by name or by the path of a manifest (it has a '/' or ends in .json), with the items
 * of `items_path` or, NULL, its own. HONE_ERR_NOT_FOUND for unknown tasks and for public sets that
 * have not been fetched, HONE_ERR_FORMAT with file and line. */
hone_status task_open(task **out, const char *name, const char *items_path);
void task_close(task *t); /* NULL is allowed */

/* The value of the member `group` of an item as text, or NULL. */
const char *task_item_group(const task *t, size_t index);
const char *task_item_id(const task *t, size_t index);

/* --- which there are --- */

typedef struct task_summary {
    const char *name, *kind, *description, *licence, *origin;
    bool is_here;     /* its items can be used now, … */
    bool has_source;  /* … or could be fetched */
    size_t n_items;   /* as the manifest says; 0 = it does not */
} task_summary;

/* Calls `each` in the order of names; strings are valid during the call. */
hone_status task_each(hone_status (*each)(void *context, const task_summary *summary),
                      void *context);

/* "choice", "number", … */
const char *task_kind_name(task_kind kind);

/* Fetches a public set's items to the user's tasks and checks their hash: HONE_ERR_UNSUPPORTED
 * where the manifest names no source. Fine where they are there. */
hone_status task_fetch(const char *name,
                       bool (*observe)(void *context, uint64_t done, uint64_t total),
                       void *context);

#endif
