/* The vdso as the C library sees it, of programs of 64 and of 32 bits. */
#ifndef VDSO_H
#define VDSO_H

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

/* Where it begins. */
static const char *base;

/* The address of an exported function; NULL where there is none. */
static void *lookup(const char *name)
{
	const ElfW(Ehdr) *header = (const void *)base;
	const ElfW(Phdr) *segment = (const void *)(base + header->e_phoff);
	const ElfW(Dyn) *dynamic = NULL;
	const ElfW(Sym) *symbols = NULL;
	const char *strings = NULL;
	const uint32_t *hash = NULL;

	for (int i = 0; i < header->e_phnum; i++)
		if (segment[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(base + segment[i].p_offset);
	for (; dynamic && dynamic->d_tag; dynamic++) {
		if (dynamic->d_tag == DT_SYMTAB)
			symbols = (const void *)(base + dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_STRTAB)
			strings = base + dynamic->d_un.d_ptr;
		if (dynamic->d_tag == DT_HASH)
			hash = (const void *)(base + dynamic->d_un.d_ptr);
	}
	for (uint32_t i = 0; hash && symbols && strings && i < hash[1]; i++)
		if (!strcmp(strings + symbols[i].st_name, name) && symbols[i].st_shndx)
			return (void *)(base + symbols[i].st_value);
	return NULL;
}

#endif
