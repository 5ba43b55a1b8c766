/* Public sets call the parts of an item by names of their own. A manifest's `members` say what they
 * are here:
 *
 *     "members": {"question": "query", "answer": "gold"}                 another name, any value
 *     "members": {"question": {"of": ["Body", "Question"]}}              sentences, one behind the other
 *     "members": {"answer": {"of": "answer", "behind": "####"}}          what follows these words
 *     "members": {"prelude": {"always": "#include <map>\n"}}             the same for all
 *
 * Texts of the last three are taken without blanks at both ends, `always` as it stands. What an
 * item lacks leaves it as it is, so that files which have the names already are read, too. */
#ifndef LAB_TASK_MEMBERS_H
#define LAB_TASK_MEMBERS_H

#include "base/json.h"
#include "base/status.h"

/* Changes the item. `members` NULL = none. HONE_ERR_FORMAT for `members` that are none of these. */
hone_status task_members_take(json_t *item, const json_t *members);

#endif
