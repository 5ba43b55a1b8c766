/* Energy that the machine used, where it tells: the processor's own counter (RAPL, through Linux's
 * powercap) or a battery that is being discharged. It is the machine's, all programs together. */
#ifndef LAB_ENERGY_H
#define LAB_ENERGY_H

#include <stdbool.h>

typedef enum energy_source { ENERGY_NONE, ENERGY_RAPL, ENERGY_BATTERY } energy_source;

enum { ENERGY_MAX_ZONES = 16 };

typedef struct energy_look {
    energy_source source;
    int n_zones;                      /* processor packages, or batteries */
    double joules[ENERGY_MAX_ZONES];  /* that a counter shows; of a battery, what is left in it */
    double wraps_at[ENERGY_MAX_ZONES]; /* where a counter begins again; 0 = never */
} energy_look;

/* Looks at the counters below `root` ("" for the system's own /sys). */
void energy_look_at(energy_look *look, const char *root);

/* Joules between two looks; 0 where neither tells, or where the counter did not move. */
double energy_between(const energy_look *before, const energy_look *after);

/* For people: "processor packages (RAPL)", "battery", or why there is nothing: "unknown: this
 * machine shows neither …", "unknown: RAPL is there, but only the administrator may read it". */
const char *energy_source_words(const energy_look *look, const char *root);

#endif
