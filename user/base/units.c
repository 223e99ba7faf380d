#include "base/units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decimals that leave three significant digits, as the value will be rounded. */
static int decimals(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

const char *units_bytes(char buf[UNITS_TEXT_MAX], uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, UNITS_TEXT_MAX, "%u B", (unsigned)bytes);
		return buf;
	}
	/* 1023.5 would be printed as 1024 of this unit: it is 1.00 of the next. */
	while (value >= 1023.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, UNITS_TEXT_MAX, "%.*f %s", decimals(value), value, units[unit]);
	return buf;
}

/* Two whole units: "4 min 10 s". */
static const char *time_long(char buf[UNITS_TEXT_MAX], uint64_t seconds)
{
	static const struct {
		unsigned seconds, part;
		const char *name, *part_name;
	} spans[] = {
		{86400, 3600, "d", "h"},
		{3600, 60, "h", "min"},
		{60, 1, "min", "s"},
	};
	size_t i = 0;

	while (i + 1 < sizeof(spans) / sizeof(spans[0]) && seconds < spans[i].seconds)
		i++;
	snprintf(buf, UNITS_TEXT_MAX, "%llu %s %u %s", (unsigned long long)(seconds / spans[i].seconds),
		 spans[i].name, (unsigned)(seconds % spans[i].seconds) / spans[i].part, spans[i].part_name);
	return buf;
}

const char *units_time(char buf[UNITS_TEXT_MAX], uint64_t ns)
{
	static const char *const units[] = {"µs", "ms", "s"};
	double value = (double)ns / 1000;
	size_t unit = 0;

	if (ns < 1000) {
		snprintf(buf, UNITS_TEXT_MAX, "%u ns", (unsigned)ns);
		return buf;
	}
	while (value >= 999.5 && unit < 2) {
		value /= 1000;
		unit++;
	}
	if (unit == 2 && value >= 59.95)
		return time_long(buf, ns / NSEC_PER_SEC + (ns % NSEC_PER_SEC >= NSEC_PER_SEC / 2));
	snprintf(buf, UNITS_TEXT_MAX, "%.*f %s", decimals(value), value, units[unit]);
	return buf;
}

/* Plain decimals only: strtold alone would take "nan", "0x10" and "-1" as well. */
static int parse_decimal(const char *text, long double *value, const char **rest)
{
	size_t len = strspn(text, "0123456789.");
	char digits[40], *end;

	if (len == 0 || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	*value = strtold(digits, &end);
	if (end == digits || *end)
		return -EINVAL;
	*rest = text + len;
	return 0;
}

/* The power of 1024 that a suffix means ("", "B", "K", "KB", "KiB", …), or −1. */
static int suffix_power(const char *suffix)
{
	static const char letters[] = "KMGTPE";
	const char *letter;

	if (suffix[0] == '\0' || strcasecmp(suffix, "B") == 0)
		return 0;
	letter = strchr(letters, suffix[0] & ~0x20);
	if (!letter || !*letter)
		return -1;
	if (suffix[1] && strcasecmp(suffix + 1, "B") != 0 && strcasecmp(suffix + 1, "iB") != 0)
		return -1;
	return (int)(letter - letters) + 1;
}

/* Scales to an integer, nearest; a long double holds 64 bits, so whole numbers stay exact. */
static int scale(long double value, long double factor, uint64_t *result)
{
	value = roundl(value * factor);
	if (value >= 18446744073709551616.0L)
		return -ERANGE;
	*result = (uint64_t)value;
	return 0;
}

int units_parse_bytes(const char *text, uint64_t *bytes)
{
	long double value;
	const char *suffix;
	int power;

	if (parse_decimal(text, &value, &suffix) != 0)
		return -EINVAL;
	power = suffix_power(suffix);
	if (power < 0)
		return -EINVAL;
	return scale(value, (long double)(1ULL << 10 * power), bytes);
}

int units_parse_seconds(const char *text, uint64_t *ns)
{
	long double value;
	const char *rest;

	if (parse_decimal(text, &value, &rest) != 0 || *rest)
		return -EINVAL;
	return scale(value, (long double)NSEC_PER_SEC, ns);
}
