/* Prompts and programs made of an item: "Question: {question}\nAnswer:".
 *
 *     {name}           a member: text as it is, numbers and true, false as JSON writes them
 *     {name[2]}        an element of an array, from 0
 *     {name|strip}     without blanks at both ends
 *     {name|spaces}    underscores as spaces
 *     {name|lines}     an array's elements, a line each
 *     {{ and }}        the braces themselves */
#ifndef LAB_PROMPT_FORM_H
#define LAB_PROMPT_FORM_H

#include "base/buf.h"
#include "base/json.h"

/* Appends the form filled from `item`; members of `first` (may be NULL) go before those of the
 * item. HONE_ERR_FORMAT for a form that is malformed and for a member that the item lacks. */
hone_status prompt_form_fill(buf *out, const char *form, const json_t *item, const json_t *first);

#endif
