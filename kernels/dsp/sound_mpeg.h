/* kernels/dsp/sound_mpeg.h - how long an MPEG audio file (MP3) is: its frames, counted
 *
 * Without a header frame that says so ("Xing" or "Info"), libmpg123 under libsndfile
 * guesses the length from the first frame's bit rate, and libsndfile stops reading
 * there: half of a file of variable rate can go without a word.  So the frames are
 * counted here, and where no header frame is, one is put in front for the decoder. */
#ifndef PENSTOCK_SOUND_MPEG_H
#define PENSTOCK_SOUND_MPEG_H

#include "kernels/linalg/compute.h"

enum { MPEG_FRAME_MAX = 2884 };         /* bytes of a frame */

struct mpeg_frame {             /* what a header of four bytes says (ISO 11172-3, 13818-3) */
    int version, layer;         /* 1, 2 or 25 (for 2.5); 1 to 3 */
    int rate, samples;          /* Hz; samples in a frame */
    bool mono;
    size_t size;                /* bytes, header included */
};

struct mpeg_stream {
    size_t first;               /* byte of the first frame that holds sound */
    size_t frames;              /* that hold sound */
    bool counted;               /* a header frame before them says that they are so many */
    struct mpeg_frame frame;    /* the first one */
};

/* 1: MPEG audio, walked to its end; 0: not MPEG audio, or not of a kind that is known
 * here; -1 with the reason: damaged in its middle, or cut short. */
int mpeg_walk(const uint8_t *bytes, size_t size, struct mpeg_stream *m, char why[WHY]);

/* A header frame for the stream; `bytes` are the stream's, for its first header. Returns its size,
 * 0 if the layer has none (I and II). */
size_t mpeg_header_frame(const struct mpeg_stream *m, const uint8_t *bytes, size_t size, uint8_t frame[MPEG_FRAME_MAX]);

#endif
