/* kernels/text/tokenizer/tokenizer.c - look-ups and decoding; see tokenizer.h */
#include "kernels/text/tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/text/tokenizer/tables.h"
#include "kernels/text/utf8.h"

int32_t tokenizer_size(const struct tokenizer *t)
{
    return (int32_t)t->vocab.n;
}

int32_t tokenizer_text_size(const struct tokenizer *t)
{
    size_t n = t->vocab.n;

    while (n && (t->flag[n - 1] & FLAG_ADDED || t->vocab.name[n - 1].at == VOCAB_HOLE))
        n--;
    return (int32_t)n;
}

uint64_t tokenizer_hash(const struct tokenizer *t)
{
    return t->hash;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *name)
{
    return vocab_find(&t->vocab, str_of(name, strlen(name)));
}

static bool known(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->vocab.n && t->vocab.name[id].at != VOCAB_HOLE;
}

struct str tokenizer_name(const struct tokenizer *t, int32_t id)
{
    return known(t, id) ? vocab_name(&t->vocab, id) : str_of(NULL, 0);
}

bool tokenizer_special(const struct tokenizer *t, int32_t id)
{
    return known(t, id) && t->flag[id] & FLAG_SPECIAL;
}

bool tokenizer_added(const struct tokenizer *t, int32_t id)
{
    return known(t, id) && t->flag[id] & FLAG_ADDED;
}

/* --- decoding ------------------------------------------------------------------ */

/* Appends the bytes with each longest broken piece of UTF-8 as U+FFFD. */
static int put_repaired(struct text *out, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + n;

    while (p < end) {
        size_t good = utf8_valid((const char *)p, (size_t)(end - p));
        if (text_add(out, (const char *)p, good))
            return -1;
        p += good;
        if (p < end) {
            p += -utf8_next(p, end);
            if (text_puts(out, "\xef\xbf\xbd"))
                return -1;
        }
    }
    return 0;
}

/* The byte of a token "<0x41>", or -1. */
static int byte_of(struct str name)
{
    int b = 0;

    if (name.n != 6 || memcmp(name.s, "<0x", 3) || name.s[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        char c = name.s[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F')))
            return -1;
        b = b * 16 + (c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return b;
}

/* Ends a run of byte tokens. */
static int put_run(struct text *out, struct text *run)
{
    int bad = 0;

    if (utf8_valid(run->s, run->n) == run->n)
        bad = text_add(out, run->s, run->n);
    else
        for (size_t i = 0; i < run->n && !bad; i++)
            bad = text_puts(out, "\xef\xbf\xbd");
    run->n = 0;
    return bad;
}

/* A name with U+2581 as space. */
static int put_spaced(struct text *out, struct str name)
{
    if (text_reserve(out, name.n))
        return -1;
    for (size_t i = 0; i < name.n; i++) {
        if (name.n - i >= 3 && !memcmp(name.s + i, "\xe2\x96\x81", 3)) {
            out->s[out->n++] = ' ';
            i += 2;
        } else {
            out->s[out->n++] = name.s[i];
        }
    }
    return 0;
}

/* Has no text: also an id that is none, as a model with more of them than its tokenizer may say it. */
static bool silent(const struct tokenizer *t, int32_t id, bool skip)
{
    return !known(t, id) || (skip && t->flag[id] & FLAG_SPECIAL);
}

static int decode_fallback(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip, struct text *out)
{
    struct text run = { 0 };
    int bad = 0;

    for (size_t i = 0; i < n && !bad; i++) {
        if (silent(t, ids[i], skip))
            continue;
        struct str name = vocab_name(&t->vocab, ids[i]);
        int b = byte_of(name);
        char byte = (char)b;
        if (b >= 0)
            bad = text_add(&run, &byte, 1);
        else
            bad = (run.n && put_run(out, &run)) || put_spaced(out, name);
    }
    bad = bad || (run.n && put_run(out, &run));
    text_release(&run);
    return bad ? -1 : 0;
}

static int decode_byte_level(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip, struct text *out)
{
    struct text raw = { 0 };
    int bad = 0;

    for (size_t i = 0; i < n && !bad; i++)
        if (!silent(t, ids[i], skip))
            bad = decode_bytes(t, ids[i], &raw);
    bad = bad || put_repaired(out, raw.s, raw.n);
    text_release(&raw);
    return bad ? -1 : 0;
}

int decode_bytes(const struct tokenizer *t, int32_t id, struct text *out)
{
    if (!t->byte_level || !known(t, id))
        return TEXT_BAD;
    return text_add(out, t->raw.s + t->bytes[id].at, t->bytes[id].size) ? TEXT_MEMORY : 0;
}

int decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip, struct text *out, char why[WHY])
{
    size_t before = out->n;

    if (t->byte_level ? decode_byte_level(t, ids, n, skip, out) : decode_fallback(t, ids, n, skip, out)) {
        snprintf(why, WHY, "out of memory");
        out->n = before;
        return TEXT_MEMORY;
    }
    return 0;
}

/* --- where tokens end in the text ------------------------------------------------ */

/* Passes over `name` in the text at *at; a space in the text is U+2581 in the name. */
static int follow(struct str name, const char *text, size_t size, size_t *at)
{
    for (size_t i = 0; i < name.n;) {
        if (*at >= size)
            return -1;
        if (text[*at] == ' ' && name.n - i >= 3 && !memcmp(name.s + i, "\xe2\x96\x81", 3)) {
            i += 3;
            ++*at;
        } else if (text[*at] == name.s[i]) {
            i++;
            ++*at;
        } else {
            return -1;
        }
    }
    return 0;
}

int encode_offsets(const struct tokenizer *t, const int32_t *ids, size_t n, const char *text, size_t size, size_t *end)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        struct str name = tokenizer_name(t, ids[i]);
        int b = t->byte_level || !name.s ? -1 : byte_of(name);
        if (!name.s)
            return TEXT_BAD;
        if (t->flag[ids[i]] & FLAG_LSTRIP)
            at += spaces_before(text + at, size - at, false);
        if (t->byte_level)
            name = str_of(t->raw.s + t->bytes[ids[i]].at, t->bytes[ids[i]].size);
        if (b >= 0 && at < size && (unsigned char)text[at] == b)
            at++;
        else if (follow(name, text, size, &at))
            return TEXT_BAD;
        if (t->flag[ids[i]] & FLAG_RSTRIP)
            at += spaces_before(text + at, size - at, false);
        end[i] = at;
    }
    return at == size ? 0 : TEXT_BAD;
}
