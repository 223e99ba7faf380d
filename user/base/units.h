/* Bytes and times as people write and read them. */
#ifndef ALLOCTRACE_BASE_UNITS_H
#define ALLOCTRACE_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define NSEC_PER_SEC 1000000000ULL
#define UNITS_TEXT_MAX 32

/* "0 B", "12.0 KiB", "1.44 GiB": three significant digits; returns buf. */
const char *units_bytes(char buf[UNITS_TEXT_MAX], uint64_t bytes);
/* "350 ns", "12.1 µs", "26.0 ms", "1.70 s", "4 min 10 s"; returns buf. */
const char *units_time(char buf[UNITS_TEXT_MAX], uint64_t ns);
/* "32M", "1.5GiB", "4096" → bytes (powers of 1024); −EINVAL or −ERANGE. */
int units_parse_bytes(const char *text, uint64_t *bytes);
/* "5", "0.25" seconds → ns; −EINVAL or −ERANGE. */
int units_parse_seconds(const char *text, uint64_t *ns);

#endif
