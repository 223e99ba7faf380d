/*
 * The texts, locations, stacks and allocators of a recording by number (record/format.h): writing, each is
 * stored when it first comes; reading, it is made then.
 *
 * A location is stored as what it is called at the time. Names that are found later are stored
 * once more (dictionary_rename), which replaces them for all stacks.
 */
#ifndef ALLOCTRACE_RECORD_DICTIONARY_H
#define ALLOCTRACE_RECORD_DICTIONARY_H

#include "probe/allocator.h"
#include "record/codec.h"
#include "stack/location.h"
#include "stack/names.h"

struct dictionary;

/* max_memory: bytes that what is read may take; 0: no bound. NULL: no memory. */
struct dictionary *dictionary_new(size_t max_memory);
void dictionary_free(struct dictionary *d); /* NULL-safe */

/* For codec.c: the same on the other side, one and the same for what was one; NULL stays NULL. */
const char *dictionary_text(struct dictionary *d, struct codec *c, const char *text);
/* What is said of it; its rows are nothing that a recording needs. */
const struct allocator *dictionary_allocator(struct dictionary *d, struct codec *c,
					     const struct allocator *kind);
const struct stack *dictionary_stack(struct dictionary *d, struct codec *c, const struct stack *stack);

/* Reading: the stack of that number (its id); NULL: there is none. */
const struct stack *dictionary_stack_at(const struct dictionary *d, uint64_t number);

/* Writing: whom to ask for the names of what is stored, which is between names_begin and names_end. NULL: all are known. */
void dictionary_ask(struct dictionary *d, struct names *names);
/* Writing: asks for the names of all locations that were stored without. */
void dictionary_want(struct dictionary *d);
/* Writing: how many of those have names by now. Between names_begin and names_end. */
size_t dictionary_named(const struct dictionary *d);
/* Both: stores the names of those, or reads them. */
void dictionary_rename(struct dictionary *d, struct codec *c);

#endif
