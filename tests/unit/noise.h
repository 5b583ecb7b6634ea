/* tests/unit/noise.h - numbers in [-1, 1) that are the same in each run */
#ifndef PENSTOCK_TEST_NOISE_H
#define PENSTOCK_TEST_NOISE_H

#include <stddef.h>

float noise(void);
float *noise_new(size_t n);     /* malloc'd; never NULL, also of none */

#endif
