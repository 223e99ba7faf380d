/* How far off changes of estimates are, for report/diff.c: of figures with their 95 % intervals. */
#ifndef ALLOCTRACE_REPORT_DIFF_ERROR_H
#define ALLOCTRACE_REPORT_DIFF_ERROR_H

#include "report/diff.h"

struct diff_figure {
	uint64_t figure, low, high;
};

/* One of A's, as diff_scaled. */
struct diff_figure diff_figure_scaled(const struct diff *diff, const struct diff_figure *figure);
/* b − a: the errors of both are independent. */
struct diff_range diff_figures_range(const struct diff_figure *a, const struct diff_figure *b);

#endif
