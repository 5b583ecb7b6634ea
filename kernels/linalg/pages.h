/* kernels/linalg/pages.h - large memory straight from the system: zeroed, in huge pages where possible
 *
 * Pages are taken when first touched, by the processor that touches them. */
#ifndef PENSTOCK_PAGES_H
#define PENSTOCK_PAGES_H

#include <stddef.h>

/* Aligned to 2 MiB if it is that large, else to a small page: what is smaller, and what a huge
 * page would leave over at the end, takes small pages, so that nothing is rounded up.  NULL: out of memory. */
void *pages_new(size_t size);
void pages_free(void *memory, size_t size);     /* the same size; memory may be NULL */

#endif
