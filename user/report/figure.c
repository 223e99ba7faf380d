#include "report/figure.h"

#include <inttypes.h>
#include <stdio.h>

const char *figure_count(char buf[UNITS_TEXT_MAX], uint64_t cnt)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, cnt), used = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[used++] = ',';
		buf[used++] = digits[i];
	}
	buf[used] = '\0';
	return buf;
}

static uint64_t size_of(int64_t change)
{
	return change < 0 ? -(uint64_t)change : (uint64_t)change;
}

static const char *sign_of(int64_t change)
{
	return change > 0 ? "+" : change < 0 ? "-" : "";
}

const char *figure_change(char buf[UNITS_TEXT_MAX], int64_t bytes)
{
	char size[UNITS_TEXT_MAX];

	snprintf(buf, UNITS_TEXT_MAX, "%s%.*s", sign_of(bytes), UNITS_TEXT_MAX - 2,
		 units_bytes(size, size_of(bytes)));
	return buf;
}

const char *figure_count_change(char buf[UNITS_TEXT_MAX], int64_t cnt)
{
	char size[UNITS_TEXT_MAX];

	snprintf(buf, UNITS_TEXT_MAX, "%s%.*s", sign_of(cnt), UNITS_TEXT_MAX - 2,
		 figure_count(size, size_of(cnt)));
	return buf;
}

const char *figure_rate(char buf[UNITS_TEXT_MAX], uint64_t cnt, uint64_t ns)
{
	double rate = ns ? (double)cnt * NSEC_PER_SEC / (double)ns : 0;
	const char *unit = "";

	if (!ns)
		return "–";
	if (rate >= 999.5) {
		unit = rate >= 999500 ? "M" : "k";
		rate /= rate >= 999500 ? 1000000 : 1000;
	}
	if (!cnt || rate >= 99.95)
		snprintf(buf, UNITS_TEXT_MAX, "%.0f%s/s", rate, unit);
	else
		snprintf(buf, UNITS_TEXT_MAX, "%.1f%s/s", rate, unit);
	return buf;
}

const char *figure_share(char buf[UNITS_TEXT_MAX], double share)
{
	if (share > 0 && share < 0.005)
		return "under 1 %";
	snprintf(buf, UNITS_TEXT_MAX, "%.0f %%", 100 * share);
	return buf;
}
