#include "heap/raking.h"

#include <math.h>
#include <stdbool.h>

#define ROUNDS 16    /* each ends with at least one more part at a bound */
#define MOVED 1.0    /* of what a part was moved by, may be wrong: whether all are wrong alike is not known */
#define CERTAIN 0.05 /* as much of what is not in doubt moves, beside what is */

static double weight_of(const struct rake_part *part)
{
	return part->doubt + CERTAIN * part->was + 1e-9;
}

static bool is_free(const struct rake_part *part, double rest)
{
	return rest > 0 ? part->is < part->most : part->is > 0;
}

static double move(struct rake_part *part, double by)
{
	double from = part->is;

	part->is = fmin(fmax(from + by, 0), part->most);
	return part->is - from;
}

/* A part is what it was less its share of all that was wrong: of its own chance, and of the others'. */
static void spread_chance(struct rake_part *parts, size_t cnt)
{
	double weights = 0, variance = 0;

	for (size_t i = 0; i < cnt; i++) {
		weights += weight_of(&parts[i]);
		variance += parts[i].variance;
	}
	for (size_t i = 0; i < cnt; i++) {
		double share = weight_of(&parts[i]) / weights, own = parts[i].variance;

		parts[i].left = (1 - share) * (1 - share) * own + share * share * (variance - own) +
				pow(MOVED * (1 - share) * (parts[i].is - parts[i].was), 2);
	}
}

void rake(struct rake_part *parts, size_t cnt, double total)
{
	double rest = total;

	for (size_t i = 0; i < cnt; i++) {
		parts[i].is = fmin(parts[i].was, parts[i].most);
		parts[i].total = total;
		rest -= parts[i].is;
	}
	for (int round = 0; round < ROUNDS && fabs(rest) > 1e-6 * (total + 1); round++) {
		double weights = 0, moved = 0;

		for (size_t i = 0; i < cnt; i++)
			weights += is_free(&parts[i], rest) ? weight_of(&parts[i]) : 0;
		if (!(weights > 0))
			break;
		for (size_t i = 0; i < cnt; i++)
			if (is_free(&parts[i], rest))
				moved += move(&parts[i], rest * weight_of(&parts[i]) / weights);
		rest -= moved;
	}
	spread_chance(parts, cnt);
}
