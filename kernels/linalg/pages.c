/* kernels/linalg/pages.c - anonymous maps, aligned so that huge pages fit */
#include "kernels/linalg/pages.h"

#include <stdint.h>
#include <sys/mman.h>

static const size_t huge = 2 << 20, small = 1 << 16;     /* a multiple of the page of any machine */

static size_t round_up(size_t size)
{
    return (size + small - 1) / small * small;
}

void *pages_new(size_t size)
{
    if (!size || size > SIZE_MAX / 2)
        return NULL;
    size = round_up(size);
    size_t room = size < huge ? 0 : huge;
    uint8_t *map = mmap(NULL, size + room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (!room)
        return map;
    size_t before = (huge - (uintptr_t)map % huge) % huge;      /* cut what is not aligned off both ends */
    if (before)
        munmap(map, before);
    munmap(map + before + size, huge - before);
#ifdef MADV_HUGEPAGE
    madvise(map + before, size, MADV_HUGEPAGE);
#endif
    return map + before;
}

void pages_free(void *memory, size_t size)
{
    if (memory)
        munmap(memory, round_up(size));
}
