/* /sys/class/powercap (Documentation/power/powercap/powercap.rst) and /sys/class/power_supply. */
#include "lab/energy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

/* The first line of a file of a few words; false where it cannot be read. */
static bool read_word(const char *folder, const char *name, char *word, size_t n) {
    fs_path path;
    if (fs_path_format(&path, "%s/%s", folder, name) != HONE_OK) return false;
    FILE *in = fopen(path.text, "r");
    if (!in) return false;
    bool read = fgets(word, (int)n, in) != NULL;
    fclose(in);
    if (read) word[strcspn(word, "\n")] = '\0';
    return read;
}

static bool read_millionths(const char *folder, const char *name, double *value) {
    char word[40];
    double number;
    if (!read_word(folder, name, word, sizeof word) || sscanf(word, "%lf", &number) != 1)
        return false;
    *value = 1e-6 * number;
    return true;
}

static void add_zone(energy_look *look, double joules, double wraps_at) {
    if (look->n_zones == ENERGY_MAX_ZONES) return;
    look->joules[look->n_zones] = joules;
    look->wraps_at[look->n_zones++] = wraps_at;
}

/* "intel-rapl:0" is a package (AMD's, too); "intel-rapl:0:1" is a part of one, "psys" more than
 * all. */
static hone_status add_package(void *context, const char *path, const char *name) {
    energy_look *look = context;
    const char *colon = strchr(name, ':');
    char word[40];
    double joules, range = 0;
    if (strncmp(name, "intel-rapl:", 11) != 0 || !colon || strchr(colon + 1, ':')) return HONE_OK;
    if (!read_word(path, "name", word, sizeof word) || strncmp(word, "package", 7) != 0)
        return HONE_OK;
    if (!read_millionths(path, "energy_uj", &joules)) return HONE_OK;
    read_millionths(path, "max_energy_range_uj", &range);
    add_zone(look, joules, range);
    return HONE_OK;
}

/* A battery tells µWh, or µAh and µV. */
static hone_status add_battery(void *context, const char *path, const char *name) {
    energy_look *look = context;
    char type[40], state[40];
    double energy, charge, volts;
    (void)name;
    if (!read_word(path, "type", type, sizeof type) || strcmp(type, "Battery") != 0) return HONE_OK;
    if (!read_word(path, "status", state, sizeof state) || strcmp(state, "Discharging") != 0)
        return HONE_OK;
    if (read_millionths(path, "energy_now", &energy)) {
        add_zone(look, 3600 * energy, 0);
    } else if (read_millionths(path, "charge_now", &charge) &&
               read_millionths(path, "voltage_now", &volts)) {
        add_zone(look, 3600 * charge * volts, 0);
    }
    return HONE_OK;
}

static void look_in(energy_look *look, energy_source source, const char *root, const char *folder,
                    hone_status (*add)(void *context, const char *path, const char *name)) {
    fs_path path;
    if (look->n_zones > 0 || fs_path_format(&path, "%s%s", root, folder) != HONE_OK) return;
    fs_each(path.text, add, look);
    if (look->n_zones > 0) look->source = source;
}

void energy_look_at(energy_look *look, const char *root) {
    *look = (energy_look){.source = ENERGY_NONE};
    look_in(look, ENERGY_RAPL, root, "/sys/class/powercap", add_package);
    look_in(look, ENERGY_BATTERY, root, "/sys/class/power_supply", add_battery);
}

double energy_between(const energy_look *before, const energy_look *after) {
    double sum = 0;
    if (before->source != after->source || before->n_zones != after->n_zones) return 0;
    for (int i = 0; i < before->n_zones; i++) {
        double used = before->source == ENERGY_BATTERY ? before->joules[i] - after->joules[i]
                                                       : after->joules[i] - before->joules[i];
        if (used < 0 && before->wraps_at[i] > 0) used += before->wraps_at[i];
        if (used > 0) sum += used;
    }
    return sum;
}

const char *energy_source_words(const energy_look *look, const char *root) {
    fs_path path;
    if (look->source == ENERGY_RAPL) return "processor packages (RAPL)";
    if (look->source == ENERGY_BATTERY) return "battery";
    bool there = fs_path_format(&path, "%s/sys/class/powercap/intel-rapl:0/energy_uj", root) ==
                     HONE_OK && access(path.text, F_OK) == 0;
    return there ? "unknown: RAPL is there, but only the administrator may read it"
                 : "unknown: this machine shows neither a RAPL counter nor a battery in use";
}
