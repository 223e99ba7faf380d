#include "target/image.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <zlib.h>

#define HEADER_SIZE 16
#define BODY_MAX (1ULL << 30) /* what a hostile file may make us unpack */
#define INFLATE_STEP (256UL << 10)
#define SAVE_BATCH 256 /* pages */
#define BATCH_BYTES (SAVE_BATCH * TARGET_PAGE_SIZE)

/* ---- reading ---- */

struct image_range {
	uint64_t start, pages;
	const uint8_t *state;
	const char *data; /* the present pages, one after the other */
	uint32_t *rank;   /* page → how many present ones come before it */
};

struct image_memory {
	struct memory mem;
	char *body;
	size_t body_len;
	const char *maps;
	size_t maps_len;
	struct image_range *range;
	size_t range_cnt;
};

/* What is left of the body. */
struct cursor {
	const char *at;
	size_t left;
};

static const char *take(struct cursor *c, uint64_t len)
{
	const char *at = c->at;

	if (len > c->left)
		return NULL;
	c->at += len;
	c->left -= len;
	return at;
}

static bool take_word(struct cursor *c, uint64_t *value)
{
	const char *at = take(c, sizeof(*value));

	if (!at)
		return false;
	memcpy(value, at, sizeof(*value));
	*value = le64toh(*value);
	return true;
}

static int by_start(const void *key, const void *element)
{
	uint64_t addr = *(const uint64_t *)key;
	const struct image_range *range = element;

	if (addr < range->start)
		return -1;
	return addr >= range->start + range->pages * TARGET_PAGE_SIZE;
}

static const struct image_range *range_of(const struct image_memory *im, uint64_t addr)
{
	if (!im->range_cnt)
		return NULL;
	return bsearch(&addr, im->range, im->range_cnt, sizeof(*im->range), by_start);
}

/* A page's bytes, NULL if it was not saved. */
static const char *page_bytes(const struct image_memory *im, uint64_t page)
{
	static const char zeros[TARGET_PAGE_SIZE];
	const struct image_range *range = range_of(im, page);
	uint64_t i;

	if (!range)
		return NULL;
	i = (page - range->start) / TARGET_PAGE_SIZE;
	if (range->state[i] & PAGE_PRESENT)
		return range->data + range->rank[i] * TARGET_PAGE_SIZE;
	return range->state[i] & PAGE_ZERO ? zeros : NULL;
}

static ssize_t image_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
			   const struct iovec *remote, size_t remote_cnt)
{
	const struct image_memory *im = (const struct image_memory *)mem;
	size_t l = 0, r = 0, l_off = 0, r_off = 0;
	ssize_t done = 0;

	while (l < local_cnt && r < remote_cnt) {
		uint64_t addr = (uint64_t)(uintptr_t)remote[r].iov_base + r_off;
		uint64_t in_page = addr % TARGET_PAGE_SIZE;
		size_t len = local[l].iov_len - l_off;
		const char *page;

		if (len > remote[r].iov_len - r_off)
			len = remote[r].iov_len - r_off;
		if (len > TARGET_PAGE_SIZE - in_page)
			len = TARGET_PAGE_SIZE - in_page;
		page = len ? page_bytes(im, addr - in_page) : "";
		if (!page)
			return done ? done : -EFAULT;
		memcpy((char *)local[l].iov_base + l_off, page + (len ? in_page : 0), len);
		done += (ssize_t)len;
		l_off += len;
		r_off += len;
		if (l_off == local[l].iov_len) {
			l++;
			l_off = 0;
		}
		if (r_off == remote[r].iov_len) {
			r++;
			r_off = 0;
		}
	}
	return done;
}

static int image_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *state)
{
	const struct image_memory *im = (const struct image_memory *)mem;
	size_t cnt = (end - start) / TARGET_PAGE_SIZE;

	for (size_t i = 0; i < cnt; i++) {
		uint64_t page = start + i * TARGET_PAGE_SIZE;
		const struct image_range *range = range_of(im, page);

		state[i] = range ? range->state[(page - range->start) / TARGET_PAGE_SIZE] : 0;
	}
	return 0;
}

static int image_maps(struct memory *mem, struct maps *maps, struct error *err)
{
	const struct image_memory *im = (const struct image_memory *)mem;
	int rc = maps_parse(im->maps, im->maps_len, maps);

	return rc ? error_set(err, rc, "no memory for the image's mappings") : 0;
}

static void image_free(struct memory *mem)
{
	struct image_memory *im = (struct image_memory *)mem;

	for (size_t i = 0; i < im->range_cnt; i++)
		free(im->range[i].rank);
	free(im->range);
	free(im->body);
	free(im);
}

static const struct memory_ops image_ops = {
	.readv = image_readv,
	.pages = image_pages,
	.maps = image_maps,
	.free = image_free,
};

/* Unpacks the body; grows as it goes, since the file's word on its length is worth nothing. */
static int inflate_body(const void *data, size_t len, char **body, size_t *body_len)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
	size_t cap = 0;
	int rc = len <= UINT32_MAX && inflateInit(&z) == Z_OK ? Z_OK : Z_DATA_ERROR;

	*body = NULL;
	if (rc != Z_OK)
		return -EINVAL;
	while (rc == Z_OK && cap < BODY_MAX) {
		char *more = realloc(*body, cap + cap / 2 + INFLATE_STEP);

		if (!more) {
			rc = Z_MEM_ERROR;
			break;
		}
		*body = more;
		z.next_out = (Bytef *)more + z.total_out;
		z.avail_out = (uInt)(cap + cap / 2 + INFLATE_STEP - z.total_out);
		cap += cap / 2 + INFLATE_STEP;
		rc = inflate(&z, Z_NO_FLUSH);
	}
	*body_len = z.total_out;
	inflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : rc == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
}

static int read_body(struct image_memory *im, const void *data, size_t len, bool compressed)
{
	if (compressed)
		return inflate_body(data, len, &im->body, &im->body_len);
	im->body = malloc(len + 1);
	if (!im->body)
		return -ENOMEM;
	memcpy(im->body, data, len);
	im->body_len = len;
	return 0;
}

/* One range; previous is the end of the one before. */
static int parse_range(struct cursor *c, struct image_range *range, uint64_t previous)
{
	uint32_t present = 0;

	if (!take_word(c, &range->start) || !take_word(c, &range->pages) || range->start % TARGET_PAGE_SIZE ||
	    range->start < previous || range->pages > c->left ||
	    range->start > UINT64_MAX - (range->pages + 1) * TARGET_PAGE_SIZE)
		return -EINVAL;
	range->state = (const uint8_t *)take(c, range->pages);
	range->rank = malloc((range->pages + 1) * sizeof(*range->rank));
	if (!range->rank)
		return -ENOMEM;
	for (uint64_t i = 0; i < range->pages; i++) {
		range->rank[i] = present;
		present += range->state[i] & PAGE_PRESENT ? 1 : 0;
	}
	range->data = take(c, present * TARGET_PAGE_SIZE);
	return range->data ? 0 : -EINVAL;
}

static int parse_body(struct image_memory *im)
{
	struct cursor c = {im->body, im->body_len};
	uint64_t maps_len, cnt, previous = 0;

	if (!take_word(&c, &maps_len))
		return -EINVAL;
	im->maps = take(&c, maps_len);
	im->maps_len = maps_len;
	/* Two words a range at least. */
	if (!im->maps || !take_word(&c, &cnt) || cnt > c.left / (2 * sizeof(uint64_t)))
		return -EINVAL;
	im->range = calloc(cnt + 1, sizeof(*im->range));
	if (!im->range)
		return -ENOMEM;
	for (uint64_t i = 0; i < cnt; i++) {
		struct image_range *range = &im->range[i];
		int rc;

		im->range_cnt = i + 1;
		rc = parse_range(&c, range, previous);
		if (rc)
			return rc;
		previous = range->start + range->pages * TARGET_PAGE_SIZE;
	}
	return 0;
}

int memory_open_image(const void *data, size_t len, struct memory **mem, struct error *err)
{
	const char *bytes = data;
	struct image_memory *im;
	uint32_t version, flags;
	int rc;

	if (len < HEADER_SIZE || memcmp(bytes, IMAGE_MAGIC, 8))
		return error_set(err, -EINVAL, "this is no saved heap image");
	memcpy(&version, bytes + 8, sizeof(version));
	memcpy(&flags, bytes + 12, sizeof(flags));
	version = le32toh(version);
	flags = le32toh(flags);
	if (version != IMAGE_VERSION || flags & ~(uint32_t)IMAGE_COMPRESSED)
		return error_set(err, -EINVAL, "this heap image has format %u: another version wrote it",
				 version);
	im = calloc(1, sizeof(*im));
	if (!im)
		return error_set(err, -ENOMEM, "no memory for a heap image");
	im->mem.ops = &image_ops;
	rc = read_body(im, bytes + HEADER_SIZE, len - HEADER_SIZE, flags & IMAGE_COMPRESSED);
	if (!rc)
		rc = parse_body(im);
	if (rc) {
		image_free(&im->mem);
		return error_set(err, rc,
				 rc == -ENOMEM ? "no memory for a heap image" : "this heap image is damaged");
	}
	*mem = &im->mem;
	return 0;
}

/* ---- saving ---- */

/* A stream of compressed bytes; the first failure stays. */
struct packer {
	FILE *out;
	z_stream z;
	int failed; /* −errno */
};

static void pack(struct packer *p, const void *data, size_t len, int flush)
{
	unsigned char buf[16384];

	p->z.next_in = (Bytef *)(uintptr_t)data;
	p->z.avail_in = (uInt)len;
	do {
		size_t got;

		p->z.next_out = buf;
		p->z.avail_out = sizeof(buf);
		deflate(&p->z, flush);
		got = sizeof(buf) - p->z.avail_out;
		if (!p->failed && got && fwrite(buf, 1, got, p->out) != got)
			p->failed = -EIO;
	} while (p->z.avail_out == 0);
}

static void pack_word(struct packer *p, uint64_t value)
{
	value = htole64(value);
	pack(p, &value, sizeof(value), Z_NO_FLUSH);
}

static bool is_saved(const struct mapping *m)
{
	return m->read && m->write && !m->shared && strncmp(m->name, "[stack", 6);
}

static void pack_maps(struct packer *p, const struct maps *maps)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		p->failed = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];

		fprintf(f, "%" PRIx64 "-%" PRIx64 " %c%c%c%c %" PRIx64 " %x:%x %" PRIu64 " %s\n", m->start,
			m->end, m->read ? 'r' : '-', m->write ? 'w' : '-', m->exec ? 'x' : '-',
			m->shared ? 's' : 'p', m->offset, major(m->dev), minor(m->dev), m->inode, m->name);
	}
	if (fclose(f) == 0) {
		pack_word(p, len);
		pack(p, text, len, Z_NO_FLUSH);
	} else {
		p->failed = -ENOMEM;
	}
	free(text);
}

/* The bytes of a range's present pages; one that vanished meanwhile is saved as zeros. */
static void pack_pages(struct packer *p, struct memory *mem, uint64_t start, const uint8_t *state, size_t cnt)
{
	for (size_t i = 0; i < cnt && !p->failed; i++) {
		char page[TARGET_PAGE_SIZE];

		if (!(state[i] & PAGE_PRESENT))
			continue;
		memset(page, 0, sizeof(page));
		memory_read(mem, start + i * TARGET_PAGE_SIZE, page, sizeof(page));
		pack(p, page, sizeof(page), Z_NO_FLUSH);
	}
}

/* Ranges of SAVE_BATCH pages at most, so that nothing grows with the mapping. */
static void pack_mapping(struct packer *p, struct memory *mem, const struct mapping *m, uint64_t *left)
{
	for (uint64_t at = m->start; at < m->end && !p->failed;) {
		uint64_t pages = (m->end - at) / TARGET_PAGE_SIZE;
		uint8_t state[SAVE_BATCH];
		uint64_t present = 0;

		if (pages > SAVE_BATCH)
			pages = SAVE_BATCH;
		if (memory_pages(mem, at, at + pages * TARGET_PAGE_SIZE, state) != 0)
			memset(state, 0, sizeof(state));
		for (size_t i = 0; i < pages; i++)
			present += state[i] & PAGE_PRESENT ? TARGET_PAGE_SIZE : 0;
		if (present > *left) {
			p->failed = -EFBIG;
			return;
		}
		*left -= present;
		pack_word(p, at);
		pack_word(p, pages);
		pack(p, state, pages, Z_NO_FLUSH);
		pack_pages(p, mem, at, state, pages);
		at += pages * TARGET_PAGE_SIZE;
	}
}

static uint64_t count_ranges(const struct maps *maps)
{
	uint64_t cnt = 0;

	for (size_t i = 0; i < maps->cnt; i++)
		if (is_saved(&maps->v[i]))
			cnt += (maps->v[i].end - maps->v[i].start + BATCH_BYTES - 1) / BATCH_BYTES;
	return cnt;
}

static void pack_all(struct packer *p, struct memory *mem, const struct maps *maps, uint64_t max)
{
	pack_maps(p, maps);
	pack_word(p, count_ranges(maps));
	for (size_t i = 0; i < maps->cnt; i++)
		if (is_saved(&maps->v[i]))
			pack_mapping(p, mem, &maps->v[i], &max);
	pack(p, NULL, 0, Z_FINISH);
}

int image_save(struct memory *mem, FILE *out, uint64_t max, struct error *err)
{
	const uint32_t head[2] = {htole32(IMAGE_VERSION), htole32(IMAGE_COMPRESSED)};
	struct packer p = {.out = out};
	struct maps maps;
	int rc = memory_maps(mem, &maps, err);

	if (rc)
		return rc;
	if (deflateInit(&p.z, Z_BEST_COMPRESSION) != Z_OK) {
		maps_free(&maps);
		return error_set(err, -ENOMEM, "no memory to save a heap image");
	}
	if (fwrite(IMAGE_MAGIC, 8, 1, out) != 1 || fwrite(head, sizeof(head), 1, out) != 1)
		p.failed = -EIO;
	if (!p.failed)
		pack_all(&p, mem, &maps, max);
	if (!p.failed && fflush(out) != 0)
		p.failed = -EIO;
	deflateEnd(&p.z);
	maps_free(&maps);
	if (p.failed == -EFBIG)
		return error_set(err, -EFBIG, "the heap image would pass its limit of %llu bytes",
				 (unsigned long long)max);
	if (p.failed)
		return error_set(err, p.failed, "cannot write the heap image: %s", strerror(-p.failed));
	return 0;
}
