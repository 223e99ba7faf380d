#include "heap/raking.h"

#include <math.h>
#include <stdbool.h>

#include "base/square.h"

#define ROUNDS 16    /* each ends with at least one more part at a bound */
#define MOVED 1.0    /* of what a part was moved by, may be wrong: whether all are wrong alike is not known */
#define CERTAIN 0.05 /* as much of what is not in doubt moves, beside what is */

static double weight_of(const struct rake_part *part)
{
	return part->doubt + CERTAIN * part->was + 1e-9;
}

/*
 * There are fewer than was thought: each part becomes smaller by a factor, exp(−by × how much of it is in
 * doubt). By differences, where all together were thought to be many times too many, the least doubted would
 * be all that is left.
 */
static void shrink(struct rake_part *parts, size_t cnt, double total)
{
	double by = 0;

	for (int step = 0; step < ROUNDS; step++) {
		double is = 0, slope = 0;

		for (size_t i = 0; i < cnt; i++) {
			double doubt = parts[i].was > 0 ? weight_of(&parts[i]) / parts[i].was : 0;

			parts[i].is = fmin(parts[i].was, parts[i].most) * exp(-by * doubt);
			is += parts[i].is;
			slope += doubt * parts[i].is;
		}
		/* Newton's, of the logarithm: never beyond, as it is convex. */
		if (is <= total * (1 + 1e-6) + 1e-6 || !(slope > 0))
			return;
		by += fmax(log(is / fmax(total, 1e-6)), 1e-6) * is / slope;
	}
}

static bool is_free(const struct rake_part *part)
{
	return part->is < part->most;
}

static double move(struct rake_part *part, double by)
{
	double from = part->is;

	part->is = fmin(from + by, part->most);
	return part->is - from;
}

/* There are more: each part becomes larger by as much of the rest as is its part of all that is in doubt. */
static void grow(struct rake_part *parts, size_t cnt, double total, double rest)
{
	for (int round = 0; round < ROUNDS && rest > 1e-6 * (total + 1); round++) {
		double weights = 0, moved = 0;

		for (size_t i = 0; i < cnt; i++)
			weights += is_free(&parts[i]) ? weight_of(&parts[i]) : 0;
		if (!(weights > 0))
			break;
		for (size_t i = 0; i < cnt; i++)
			if (is_free(&parts[i]))
				moved += move(&parts[i], rest * weight_of(&parts[i]) / weights);
		rest -= moved;
	}
}

/* What became less by a factor is as uncertain by that; and by how much it was moved. */
static double scale_of(const struct rake_part *part)
{
	return part->is < part->was ? part->is / part->was : 1;
}

static double moved_by(const struct rake_part *part)
{
	if (!(part->is < part->was))
		return part->is - part->was;
	return part->is > 0 ? part->is * log(part->was / part->is) : 0;
}

/* A part is what it was less its share of all that was wrong: of its own chance, and of the others'. */
static void spread_chance(struct rake_part *parts, size_t cnt)
{
	double weights = 0, variance = 0;

	for (size_t i = 0; i < cnt; i++) {
		weights += weight_of(&parts[i]);
		parts[i].left = parts[i].variance * square(scale_of(&parts[i]));
		variance += parts[i].left;
	}
	for (size_t i = 0; i < cnt; i++) {
		double share = weight_of(&parts[i]) / weights, own = parts[i].left;

		parts[i].left = square(1 - share) * own + square(share) * (variance - own) +
				square(MOVED * (1 - share) * moved_by(&parts[i]));
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
	if (rest < 0)
		shrink(parts, cnt, total);
	else
		grow(parts, cnt, total, rest);
	spread_chance(parts, cnt);
}
