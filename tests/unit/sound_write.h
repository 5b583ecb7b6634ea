/* tests/unit/sound_write.h - sound files in memory, by libsndfile, for tests */
#ifndef PENSTOCK_SOUND_WRITE_H
#define PENSTOCK_SOUND_WRITE_H

#include <stddef.h>
#include <stdint.h>

/* x: [frames, channels].  format: SF_FORMAT_...  malloc'd bytes in *file; 0 if this libsndfile cannot write it. */
size_t sound_write(int format, int rate, int channels, const double *x, size_t frames, uint8_t **file);

/* The bytes of a file; malloc'd, with room for 64 more. */
uint8_t *sound_load(const char *path, size_t *size);

#endif
