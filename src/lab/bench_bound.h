/* The least time in which this machine could do a piece of a text model's work. */
#ifndef LAB_BENCH_BOUND_H
#define LAB_BENCH_BOUND_H

#include "lab/bench.h"

/* Sets the row's share of the limit, what bounds it and its place under the roofline; leaves them
 * at 0 where the model does not say what work a token is. */
void bench_bound_row(bench_row *row, const bench_subject *subject, const hone_limits *limits);

#endif
