/* Names of C++ (Itanium) and Rust (legacy and v0) as their programmers wrote them, without parameters. */
#ifndef ALLOCTRACE_STACK_DEMANGLE_H
#define ALLOCTRACE_STACK_DEMANGLE_H

#include <stddef.h>

/*
 * The readable form of a symbol in buf[size], cut with "…"; a name of another language as it is,
 * without its version ("memcpy@@GLIBC_2.14"). Hostile input. Returns buf.
 */
const char *demangle(char *buf, size_t size, const char *symbol);

#endif
