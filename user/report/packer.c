#include "report/packer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define ROOM (3 << 14) /* a multiple of three: base64 needs no rest but the last */

struct packer {
	FILE *out;
	z_stream z;
	int failed; /* −errno */
	size_t in_len, out_len;
	unsigned char in[ROOM], packed[ROOM];
};

struct packer *packer_begin(FILE *out)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->out = out;
	if (deflateInit(&p->z, Z_DEFAULT_COMPRESSION) == Z_OK)
		return p;
	free(p);
	return NULL;
}

static void put_base64(struct packer *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *b = p->packed;

	memset(p->packed + len, 0, len < ROOM ? (3 - len % 3) % 3 : 0);
	for (size_t i = 0; i < len; i += 3) {
		char four[4] = {digits[b[i] >> 2], digits[(b[i] & 3) << 4 | b[i + 1] >> 4],
				digits[(b[i + 1] & 15) << 2 | b[i + 2] >> 6], digits[b[i + 2] & 63]};

		for (size_t past = i + 3; past > len; past--)
			four[4 - (past - len)] = '=';
		if (fwrite(four, 1, sizeof(four), p->out) != sizeof(four))
			p->failed = errno ? -errno : -EIO;
	}
}

static void deflate_all(struct packer *p, int flush)
{
	int status = Z_OK;

	p->z.next_in = p->in;
	p->z.avail_in = (uInt)p->in_len;
	while (!p->failed && (p->z.avail_in || (flush == Z_FINISH && status == Z_OK))) {
		p->z.next_out = p->packed + p->out_len;
		p->z.avail_out = (uInt)(ROOM - p->out_len);
		status = deflate(&p->z, flush);
		p->out_len = ROOM - p->z.avail_out;
		if (p->out_len == ROOM) {
			put_base64(p, ROOM);
			p->out_len = 0;
		}
	}
	p->in_len = 0;
}

static void put_byte(struct packer *p, unsigned char byte)
{
	if (p->in_len == ROOM)
		deflate_all(p, Z_NO_FLUSH);
	p->in[p->in_len++] = byte;
}

void packer_number(struct packer *p, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		put_byte(p, (unsigned char)(value | 128));
	put_byte(p, (unsigned char)value);
}

void packer_signed(struct packer *p, int64_t value)
{
	packer_number(p, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

void packer_text(struct packer *p, const char *bytes, size_t len)
{
	packer_number(p, len);
	for (size_t i = 0; i < len; i++)
		put_byte(p, (unsigned char)bytes[i]);
}

int packer_end(struct packer *p)
{
	int failed;

	deflate_all(p, Z_FINISH);
	if (!p->failed)
		put_base64(p, p->out_len);
	failed = p->failed;
	deflateEnd(&p->z);
	free(p);
	return failed;
}
