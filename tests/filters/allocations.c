/* tests/filters/allocations.c - preloaded by allocations.t: tells each taking of 64 KiB or more on stderr */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>

#define NEXT(name, type) static __typeof__(type) next; if (!next) next = (__typeof__(type))dlsym(RTLD_NEXT, name)
enum { LARGE = 65536 };

void *malloc(size_t n)
{
    NEXT("malloc", void *(*)(size_t));
    if (n >= LARGE)
        fprintf(stderr, "taken: %zu\n", n);
    return next(n);
}

void *realloc(void *p, size_t n)
{
    NEXT("realloc", void *(*)(void *, size_t));
    if (n >= LARGE)
        fprintf(stderr, "taken: %zu\n", n);
    return next(p, n);
}

void *aligned_alloc(size_t a, size_t n)
{
    NEXT("aligned_alloc", void *(*)(size_t, size_t));
    if (n >= LARGE)
        fprintf(stderr, "taken: %zu\n", n);
    return next(a, n);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t from)
{
    NEXT("mmap", void *(*)(void *, size_t, int, int, int, off_t));
    if (n >= LARGE)
        fprintf(stderr, "taken: %zu\n", n);
    return next(at, n, prot, flags, fd, from);
}
