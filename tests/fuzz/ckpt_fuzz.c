/* tests/fuzz/ckpt_fuzz.c - bytes that claim to be a checkpoint stream
 *
 * The checksums, which no mutation would meet, are not mended: the corpus brings them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libcommon/ckpt/ckpt.h"
#include "libcommon/sys/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    static FILE *f;
    if (!f) {
        f = tmpfile();
        if (!f)
            abort();
        snprintf(path, sizeof path, "/dev/fd/%d", fileno(f));
    }
    if (ftruncate(fileno(f), 0) < 0 || lseek(fileno(f), 0, SEEK_SET) != 0 || file_write_all(fileno(f), data, size) < 0 ||
        lseek(fileno(f), 0, SEEK_SET) != 0)
        abort();
    struct error e = { 0 };
    struct ckpt_record r;
    struct ckpt_in *in = ckpt_in_open(path, &e);
    enum ckpt_event event = CKPT_FAILED;
    while (in && (event = ckpt_next(in, &r, &e)) > CKPT_EOF)
        ;
    if (event == CKPT_FAILED && !e.text[0])
        abort();
    ckpt_in_close(in);
    return 0;
}
