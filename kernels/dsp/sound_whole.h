/* kernels/dsp/sound_whole.h - is a sound file as long as it says it is, and not longer?
 *
 * libsndfile takes what there is of a file that was cut short, or skips what is damaged, without a word.
 * Containers that say how long they are tell the difference. */
#ifndef PENSTOCK_SOUND_WHOLE_H
#define PENSTOCK_SOUND_WHOLE_H

#include "kernels/linalg/compute.h"

/* 0: nothing speaks against it (also when the format is unknown here).  -1 with
 * the reason: WAV (RIFF, RIFX, RF64), AIFF or AU whose data chunk promises more
 * bytes than there are; Ogg with a damaged page, or whose last page is cut or not marked as
 * the last; several WAV, Ogg or FLAC files one behind another, of which libsndfile reads
 * the first.  MPEG audio is sound_mpeg.h's. */
int sound_is_whole(const uint8_t *bytes, size_t size, char why[WHY]);

#endif
