/* tests/fuzz/tar_fuzz.c - any bytes as a tar archive: members lie inside it, and the walk ends */
#include <stdlib.h>
#include <string.h>

#include "libcommon/format/tar.h"

static struct span archive;

static int read_at(void *ctx, uint64_t offset, size_t n, void *to, struct error *e)
{
    (void)ctx, (void)e;
    if (offset > archive.size || n > archive.size - offset)
        abort();                /* asked beyond the end */
    memcpy(to, archive.data + offset, n);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tar t = { .read = read_at, .size = size };
    struct tar_member m;
    struct error e;
    archive = span_of(data, size);
    for (size_t n = 0; tar_next(&t, &m, &e) > 0; n++)
        if (n > size / 512 || m.offset > size || m.size > size - m.offset || strlen(m.name) >= TAR_NAME)
            abort();
    return 0;
}
