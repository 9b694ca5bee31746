/*
 * bpfmaps.c: maps of BPF: a hash table and an array, each with something in it, one descriptor of the first to read only, another that is a
 * copy; and an array that processes can no longer write to. Each round changes what is in them.
 */
#include "subject.h"
#include <linux/bpf.h>

static int hash, reader, copy, array, frozen;

static int bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int make(unsigned type, unsigned key, unsigned value, unsigned capacity, unsigned flags, const char *name)
{
	union bpf_attr map = { .map_type = type, .key_size = key, .value_size = value, .max_entries = capacity, .map_flags = flags };

	strcpy(map.map_name, name);
	return bpf(BPF_MAP_CREATE, &map);
}

static int element(int command, int map, const void *key, const void *value)
{
	union bpf_attr what = { .map_fd = (unsigned)map };

	what.key = (uintptr_t)key;
	what.value = (uintptr_t)value;
	return bpf(command, &what);
}

static struct bpf_map_info look(int map)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr what = { .info.bpf_fd = (unsigned)map, .info.info_len = sizeof(info), .info.info = (uintptr_t)&info };

	NEED(bpf(BPF_OBJ_GET_INFO_BY_FD, &what) == 0);
	return info;
}

static void check(void)
{
	char key[7] = "key-00", value[33];
	uint32_t place;
	uint64_t number;

	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "key-%02d", i);
		CHECK(element(BPF_MAP_LOOKUP_ELEM, reader, key, value) == 0 && filled(value, 33, (uint32_t)(i + round_number - 1)),
		      "%s: %s", key, strerror(errno));
		fill(value, 33, (uint32_t)(i + round_number));
		CHECK(element(BPF_MAP_UPDATE_ELEM, i % 2 ? copy : hash, key, value) == 0, "%s: %s", key, strerror(errno));
	}
	CHECK(element(BPF_MAP_LOOKUP_ELEM, hash, "other!", value) < 0 && errno == ENOENT, "one element more");
	CHECK(element(BPF_MAP_UPDATE_ELEM, reader, key, value) < 0 && errno == EPERM, "the reader writes");
	for (place = 0; place < 5; place++) {
		CHECK(element(BPF_MAP_LOOKUP_ELEM, array, &place, &number) == 0 && number == place * 1000 + (unsigned)round_number - 1,
		      "place %u: %lu", place, number);
		number++;
		NEED(element(BPF_MAP_UPDATE_ELEM, array, &place, &number) == 0);
	}
	place = 1;
	CHECK(element(BPF_MAP_LOOKUP_ELEM, frozen, &place, &number) == 0 && number == 77, "frozen: %lu", number);
	CHECK(element(BPF_MAP_UPDATE_ELEM, frozen, &place, &number) < 0 && errno == EPERM, "frozen: it can be written to");
	CHECK(!strcmp(look(hash).name, "table") && look(hash).id == look(reader).id && look(hash).id == look(copy).id,
	      "names and maps: '%s'", look(hash).name);
	CHECK(look(hash).map_flags == BPF_F_NO_PREALLOC && look(hash).max_entries == 50, "flags 0x%x", look(hash).map_flags);
}

int main(void)
{
	union bpf_attr by_id = { 0 }, freeze = { 0 };
	char key[7], value[33];
	uint64_t number;

	subject_begin();
	hash = make(BPF_MAP_TYPE_HASH, 7, 33, 50, BPF_F_NO_PREALLOC, "table");
	array = make(BPF_MAP_TYPE_ARRAY, 4, 8, 5, 0, "");
	frozen = make(BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0, "frozen");
	NEED(hash >= 0 && array >= 0 && frozen >= 0);
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "key-%02d", i);
		fill(value, 33, (uint32_t)i);
		NEED(element(BPF_MAP_UPDATE_ELEM, hash, key, value) == 0);
	}
	for (uint32_t place = 0; place < 5; place++) {
		number = place * 1000;
		NEED(element(BPF_MAP_UPDATE_ELEM, array, &place, &number) == 0);
	}
	number = 77;
	NEED(element(BPF_MAP_UPDATE_ELEM, frozen, &(uint32_t){ 1 }, &number) == 0);
	freeze.map_fd = (unsigned)frozen;
	NEED(bpf(BPF_MAP_FREEZE, &freeze) == 0);
	by_id.map_id = look(hash).id;
	by_id.open_flags = BPF_F_RDONLY;
	reader = bpf(BPF_MAP_GET_FD_BY_ID, &by_id);
	copy = dup(hash);
	NEED(reader >= 0 && copy >= 0);
	subject_rounds(check);
}
