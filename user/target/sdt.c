#include "target/sdt.h"

#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NOTE_SECTION ".note.stapsdt"
#define NOTE_OWNER "stapsdt"
#define NOTE_TYPE 3
#define BASE_SECTION ".stapsdt.base"
#define WORD sizeof(uint64_t)

struct search {
	struct object *obj;
	Elf *elf;
	const char *provider, *name;
	uint64_t base; /* address of .stapsdt.base; 0: it has none */
	struct sdt_probe *v;
	size_t cnt, max;
};

static Elf_Scn *section_of_name(Elf *elf, const char *wanted, GElf_Shdr *head)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name = gelf_getshdr(scn, head) ? elf_strptr(elf, names, head->sh_name) : NULL;

		if (name && !strcmp(name, wanted))
			return scn;
	}
	return NULL;
}

/* The string at *at, which moves behind it; NULL if it does not end in time. */
static const char *next_string(const char **at, const char *end)
{
	const char *text = *at, *nul = memchr(text, '\0', (size_t)(end - text));

	if (nul)
		*at = nul + 1;
	return nul ? text : NULL;
}

/* Addresses are as linked; what has moved the object since (prelink) has moved .stapsdt.base as well. */
static bool locate(const struct search *s, const uint64_t words[3], struct sdt_probe *probe)
{
	uint64_t moved = s->base ? s->base - words[1] : 0;

	probe->semaphore = 0;
	return object_file_offset(s->obj, words[0] + moved, &probe->offset) &&
	       (!words[2] || object_file_offset(s->obj, words[2] + moved, &probe->semaphore));
}

/* Three words (place, base, semaphore) and three strings (provider, name, arguments). */
static void take_note(struct search *s, const char *desc, size_t len)
{
	const char *at = desc + 3 * WORD, *end = desc + len;
	const char *provider, *name, *arguments;
	uint64_t words[3];
	struct sdt_probe probe;

	if (len < sizeof(words) || s->cnt == s->max)
		return;
	memcpy(words, desc, sizeof(words));
	provider = next_string(&at, end);
	name = provider ? next_string(&at, end) : NULL;
	arguments = name ? next_string(&at, end) : NULL;
	if (!arguments || strcmp(provider, s->provider) != 0 || strcmp(name, s->name) != 0 ||
	    !locate(s, words, &probe))
		return;
	if (strlen(arguments) >= sizeof(probe.arguments))
		arguments = "";
	snprintf(probe.arguments, sizeof(probe.arguments), "%s", arguments);
	s->v[s->cnt++] = probe;
}

static void take_notes(struct search *s)
{
	GElf_Shdr head;
	GElf_Nhdr note;
	Elf_Scn *scn = section_of_name(s->elf, BASE_SECTION, &head);
	Elf_Data *data;
	size_t name_at, desc_at, at = 0, next;

	s->base = scn ? head.sh_addr : 0;
	scn = section_of_name(s->elf, NOTE_SECTION, &head);
	data = scn && head.sh_type == SHT_NOTE ? elf_getdata(scn, NULL) : NULL;
	while (data && (next = gelf_getnote(data, at, &note, &name_at, &desc_at))) {
		const char *bytes = data->d_buf;

		if (note.n_type == NOTE_TYPE && note.n_namesz == sizeof(NOTE_OWNER) &&
		    !memcmp(bytes + name_at, NOTE_OWNER, sizeof(NOTE_OWNER)))
			take_note(s, bytes + desc_at, note.n_descsz);
		at = next;
	}
}

size_t sdt_find(struct object *obj, const char *provider, const char *name, struct sdt_probe *v, size_t max)
{
	struct search s = {.obj = obj, .provider = provider, .name = name, .v = v, .max = max};

	elf_version(EV_CURRENT);
	/* Not mapped, as object.c has it. */
	s.elf = elf_begin(object_fd(obj), ELF_C_READ, NULL);
	if (s.elf)
		take_notes(&s);
	elf_end(s.elf);
	return s.cnt;
}
