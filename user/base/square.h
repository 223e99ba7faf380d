/* Of an expression that is long enough to be written once only. */
#ifndef ALLOCTRACE_BASE_SQUARE_H
#define ALLOCTRACE_BASE_SQUARE_H

static inline double square(double v)
{
	return v * v;
}

#endif
