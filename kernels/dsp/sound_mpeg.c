/* kernels/dsp/sound_mpeg.c - see sound_mpeg.h */
#include "kernels/dsp/sound_mpeg.h"

#include <stdio.h>
#include <string.h>

/* kbit/s by the header's index: version 1 layers I, II, III, then version 2 layer I, then II and III. */
static const short rates[5][15] = {
    {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
    {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
    {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
};

/* false: no header, or one of "free" bit rate, whose size it does not say. */
static bool frame_read(const uint8_t *p, struct mpeg_frame *f)
{
    static const int hertz[3] = {44100, 48000, 32000}, versions[4] = {25, 0, 2, 1};
    int layer = 4 - (p[1] >> 1 & 3), version = versions[p[1] >> 3 & 3], index = p[2] >> 4, rate = p[2] >> 2 & 3;
    if (p[0] != 0xff || (p[1] & 0xe0) != 0xe0 || layer == 4 || !version || index == 0 || index == 15 || rate == 3)
        return false;
    int kind = version == 1 ? layer - 1 : layer == 1 ? 3 : 4, padding = p[2] >> 1 & 1;
    int slower = version == 1 ? 1 : version == 2 ? 2 : 4;
    *f = (struct mpeg_frame){version, layer, hertz[rate] / slower, 1152, p[3] >> 6 == 3, 0};
    f->samples = layer == 1 ? 384 : layer == 3 && version != 1 ? 576 : 1152;
    int slot = layer == 1 ? 4 : 1;
    f->size = (size_t)((f->samples / 8 / slot * rates[kind][index] * 1000 / f->rate + padding) * slot);
    return f->size > 4;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Bytes of an ID3v2 tag at p, or 0. */
static size_t id3_size(const uint8_t *p, size_t left)
{
    if (left < 10 || memcmp(p, "ID3", 3) != 0)
        return 0;
    size_t footer = p[5] & 16 ? 10 : 0, size = 0;
    for (int i = 6; i < 10; i++)
        size = size << 7 | (p[i] & 127);
    return 10 + footer + size;
}

/* Is what follows the last frame a tag, or filling? */
static bool is_tail(const uint8_t *p, size_t left)
{
    static const char *const tags[] = {"TAG", "APETAGEX", "LYRICSBEGIN", "3DI"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (left >= strlen(tags[i]) && memcmp(p, tags[i], strlen(tags[i])) == 0)
            return true;
    for (size_t i = 0; i < left; i++)
        if (p[i])
            return false;
    return true;
}

/* Where "Xing" or "Info" stands in a header frame: behind the side information. */
static size_t info_at(const struct mpeg_frame *f) { return 4 + (f->version == 1 ? f->mono ? 17 : 32 : f->mono ? 9 : 17); }

static bool info_read(const uint8_t *p, const struct mpeg_frame *f, uint32_t *frames, bool *has_frames)
{
    const uint8_t *tag = p + info_at(f);
    if (f->layer != 3 || f->size < info_at(f) + 12 || (memcmp(tag, "Xing", 4) != 0 && memcmp(tag, "Info", 4) != 0))
        return false;
    *has_frames = tag[7] & 1;
    *frames = *has_frames ? big_endian(tag + 8) : 0;
    return true;
}

/* The first frame: at `at`, and another like it behind. */
static bool first_find(const uint8_t *b, size_t size, size_t at, struct mpeg_frame *f)
{
    struct mpeg_frame next;
    return at < size && size - at >= 4 && frame_read(b + at, f) &&
           (size - at < f->size + 4 || (frame_read(b + at + f->size, &next) && next.version == f->version &&
                                        next.layer == f->layer));
}

int mpeg_walk(const uint8_t *b, size_t size, struct mpeg_stream *m, char why[WHY])
{
    size_t at = 0, tag;
    while (at < size && (tag = id3_size(b + at, size - at)) > 0)
        at = tag < size - at ? at + tag : size;
    *m = (struct mpeg_stream){0};
    if (!first_find(b, size, at, &m->frame))
        return 0;
    uint32_t promised = 0;
    bool has_count = false;
    if (size - at >= m->frame.size && info_read(b + at, &m->frame, &promised, &has_count))
        at += m->frame.size;
    m->first = at;
    m->counted = has_count;
    while (at < size) {
        struct mpeg_frame f;
        size_t left = size - at;
        if (left >= 4 && frame_read(b + at, &f)) {
            if (f.size > left) {
                snprintf(why, WHY, "cut short: its last MPEG frame, at byte %zu, is not whole", at);
                return -1;
            }
            m->frames++;
            at += f.size;
        } else if ((tag = id3_size(b + at, left)) > 0 && tag <= left) {
            at += tag;
        } else if (is_tail(b + at, left)) {
            break;
        } else {
            snprintf(why, WHY, "damaged or cut short: no MPEG frame at byte %zu of %zu", at, size);
            return -1;
        }
    }
    if (has_count && m->frames < promised) {
        snprintf(why, WHY, "cut short: its header promises %u MPEG frames, %zu are there", promised, m->frames);
        return -1;
    }
    if (m->frames > (size_t)promised + 1)               /* files joined; some writers count themselves */
        m->counted = false;
    return m->frames > 0;
}

size_t mpeg_header_frame(const struct mpeg_stream *m, const uint8_t *bytes, size_t size, uint8_t frame[MPEG_FRAME_MAX])
{
    struct mpeg_frame f;
    if (m->frame.layer != 3 || size - m->first < 4)
        return 0;
    memset(frame, 0, MPEG_FRAME_MAX);
    memcpy(frame, bytes + m->first, 4);
    frame[1] |= 1;                                      /* no checksum */
    frame[2] = (uint8_t)((frame[2] & 0x0d) | 0xe0);     /* the highest bit rate, not padded: room enough */
    if (!frame_read(frame, &f) || f.size > MPEG_FRAME_MAX)
        return 0;
    uint8_t *tag = frame + info_at(&f);
    size_t total = f.size + size - m->first;
    memcpy(tag, "Xing\0\0\0\3", 8);
    for (size_t i = 0; i < 4; i++) {
        tag[8 + i] = (uint8_t)(m->frames >> (24 - 8 * i));
        tag[12 + i] = (uint8_t)(total >> (24 - 8 * i));
    }
    return f.size;
}
