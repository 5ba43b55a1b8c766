/* Examples for few-shot prompts (hone/strategy.h): objects {"question": …, "answer": …}, whose
 * other members do not count, so that the items of hone's tasks do, too. */
#ifndef SERVE_EXAMPLE_LIST_H
#define SERVE_EXAMPLE_LIST_H

#include "base/json.h"
#include "hone/strategy.h"

typedef struct example_list {
    json_t *root; /* that the items point into */
    hone_example *items;
    size_t n;
} example_list;

/* Of an array, which is not changed and lives on as long as the list does. HONE_ERR_ARGUMENT names
 * the element that is none, or says that there are more than HONE_MAX_EXAMPLES. */
hone_status example_list_init(example_list *l, json_t *array);

/* Of a file with one object a line; empty lines are skipped. */
hone_status example_list_read(example_list *l, const char *path);
void example_list_release(example_list *l); /* a zeroed one is allowed */

#endif
