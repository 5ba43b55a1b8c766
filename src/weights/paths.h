/* Where hone keeps its things (XDG Base Directory Specification 0.8).
 *
 *              HONE_HOME set        otherwise
 *     data     $HONE_HOME           $XDG_DATA_HOME/hone     ~/.local/share/hone
 *     config   $HONE_HOME/config    $XDG_CONFIG_HOME/hone   ~/.config/hone
 *     cache    $HONE_HOME/cache     $XDG_CACHE_HOME/hone    ~/.cache/hone
 *     state    $HONE_HOME/state     $XDG_STATE_HOME/hone    ~/.local/state/hone
 *
 * As the specification says, an XDG variable with a relative path is ignored. */
#ifndef WEIGHTS_PATHS_H
#define WEIGHTS_PATHS_H

#include "base/fs.h"

typedef enum paths_kind { PATHS_DATA, PATHS_CONFIG, PATHS_CACHE, PATHS_STATE } paths_kind;

/* The folder's absolute path; makes nothing. HONE_ERR_NOT_FOUND when there is no home at all. */
hone_status paths_folder(fs_path *path, paths_kind kind);

#endif
