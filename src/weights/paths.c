#include "weights/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *in_hone_home, *variable, *in_home;
} places[] = {
    [PATHS_DATA] = {"", "XDG_DATA_HOME", ".local/share"},
    [PATHS_CONFIG] = {"/config", "XDG_CONFIG_HOME", ".config"},
    [PATHS_CACHE] = {"/cache", "XDG_CACHE_HOME", ".cache"},
    [PATHS_STATE] = {"/state", "XDG_STATE_HOME", ".local/state"},
};

static const char *set_variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *home_folder(void) {
    const char *home = set_variable("HOME");
    if (home && home[0] == '/') return home;
    struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

static hone_status in_hone_home(fs_path *path, const char *home, const char *below) {
    char here[sizeof path->text];
    size_t n = strlen(home);
    while (n > 1 && home[n - 1] == '/') n--;
    if (home[0] == '/') return fs_path_format(path, "%.*s%s", (int)n, home, below);
    if (!getcwd(here, sizeof here))
        return fail(HONE_ERR_IO, "current folder: %s", strerror(errno));
    return fs_path_format(path, "%s/%.*s%s", here, (int)n, home, below);
}

hone_status paths_folder(fs_path *path, paths_kind kind) {
    const char *home = set_variable("HONE_HOME");
    if (home) return in_hone_home(path, home, places[kind].in_hone_home);
    const char *xdg = set_variable(places[kind].variable);
    if (xdg && xdg[0] == '/') return fs_path_format(path, "%s/hone", xdg);
    home = home_folder();
    if (!home) return fail(HONE_ERR_NOT_FOUND, "no home folder: set HOME or HONE_HOME");
    return fs_path_format(path, "%s/%s/hone", home, places[kind].in_home);
}
