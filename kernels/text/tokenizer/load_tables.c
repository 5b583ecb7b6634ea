/* kernels/text/tokenizer/load_tables.c - what encoding looks up: symbols of bytes and characters, seams between words */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/tokenizer/load.h"
#include "kernels/text/utf8.h"

/* GPT-2's alphabet: bytes that print are themselves, the others follow from U+0100 on. */
static void alphabet(uint32_t point[256])
{
    uint32_t next = 256;

    for (uint32_t b = 0; b < 256; b++)
        point[b] = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad) ? b : next++;
}

int load_byte_level(struct load *l)
{
    struct tokenizer *t = l->t;
    uint32_t point[256];

    alphabet(point);
    for (int b = 0; b < 256; b++) {
        char name[4];
        t->byte_id[b] = vocab_find(&t->vocab, str_of(name, (size_t)utf8_put(name, point[b])));
        if (t->byte_id[b] < 0) {
            snprintf(l->s.why, WHY, "no token for the byte 0x%02x", (unsigned)b);
            return -1;
        }
    }
    return classes_make(&t->classes) ? load_refuse(l, "out of memory") : 0;
}

/* The bytes that each name stands for.  A name with other characters (an added token) is itself. */
int load_bytes(struct load *l)
{
    struct tokenizer *t = l->t;
    uint32_t point[256];
    int16_t byte[512];

    alphabet(point);
    memset(byte, -1, sizeof byte);
    for (int b = 0; b < 256; b++)
        byte[point[b]] = (int16_t)b;
    t->bytes = calloc(t->vocab.n, sizeof *t->bytes);
    if (!t->bytes || text_reserve(&t->raw, t->vocab.blob.n + 1))
        return load_refuse(l, "out of memory");
    for (size_t id = 0; id < t->vocab.n; id++) {
        struct str name;
        size_t start = t->raw.n;
        if (t->vocab.name[id].at == VOCAB_HOLE)
            continue;
        name = vocab_name(&t->vocab, (int32_t)id);
        for (size_t at = 0; at < name.n;) {
            uint32_t c;
            at += utf8_read(name.s + at, &c);
            if (c >= 512 || byte[c] < 0) {
                t->raw.n = start;
                text_add(&t->raw, name.s, name.n);      /* room is there: a name has at least as many bytes */
                break;
            }
            t->raw.s[t->raw.n++] = (char)byte[c];
        }
        t->bytes[id] = (struct name){ (uint32_t)start, (uint32_t)(t->raw.n - start) };
    }
    return 0;
}

int load_fallback(struct load *l)
{
    struct tokenizer *t = l->t;

    t->char_id = calloc(0x110000, sizeof *t->char_id);
    t->seam = calloc((size_t)1 << (SEAM_BITS - 6), sizeof *t->seam);
    if (!t->char_id || !t->seam)
        return load_refuse(l, "out of memory");
    for (int b = 0; b < 256; b++) {
        char name[8];
        t->byte_id[b] = vocab_find(&t->vocab, str_of(name, (size_t)snprintf(name, sizeof name, "<0x%02X>", (unsigned)b)));
        if (t->byte_id[b] < 0) {
            snprintf(l->s.why, WHY, "no token %s", name);
            return -1;
        }
    }
    for (size_t id = 0; id < t->vocab.n; id++) {
        struct str name;
        uint32_t c;
        if (t->vocab.name[id].at == VOCAB_HOLE)
            continue;
        name = vocab_name(&t->vocab, (int32_t)id);
        if (name.n && utf8_read(name.s, &c) == name.n)
            t->char_id[c] = (int32_t)id + 1;
    }
    t->char_id[' '] = t->char_id[0x2581];       /* the normaliser */
    for (size_t i = 0; i < l->triples; i++) {
        struct str name = vocab_name(&t->vocab, l->triple[i][2]);
        uint32_t before, c;
        for (size_t at = 0; at < name.n; before = c) {
            bool any = at > 0;
            at += utf8_read(name.s + at, &c);
            c = c == 0x2581 ? ' ' : c;
            if (any) {
                uint32_t bit = seam_bit(before, c);
                t->seam[bit / 64] |= (uint64_t)1 << (bit % 64);
            }
        }
        for (int k = 0; k < 2; k++) {           /* the seams know nothing of byte tokens */
            struct str part = vocab_name(&t->vocab, l->triple[i][k]);
            if (part.n == 6 && !memcmp(part.s, "<0x", 3))
                return load_refuse(l, "a merge of a byte token");
        }
    }
    return 0;
}
