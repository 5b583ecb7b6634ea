/* libcommon/stream/mixture.h - headers of workers on unlike hosts
 *
 * A stage whose bits depend on the processor says in its header which instruction
 * set it used, under "kernels".  Headers that differ in nothing else are of the same
 * run, but which host computed what may show in the last bits. */
#ifndef PENSTOCK_MIXTURE_H
#define PENSTOCK_MIXTURE_H

#include "libcommon/sys/buf.h"

#define STAGE_KERNELS "kernels"

enum headers_are { HEADERS_DIFFER, HEADERS_SAME, HEADERS_MIXED };

/* HEADERS_MIXED: what says where they differ, "mel-features: avx2 beside avx512". */
enum headers_are headers_compare(struct span a, struct span b, char *what, size_t size);

/* The same for those who accept a mixture: true unless they differ; a mixture is told as a warning, once (*told). */
bool headers_agree(struct span a, struct span b, bool *told);

#endif
