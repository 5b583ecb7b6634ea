/* tests/fuzz/sound_fuzz.c - bytes that claim to be a sound file; the first two choose the window */
#include "kernels/dsp/sound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct sound_want want = {16000, 3, data[0] / 64.0, data[1] / 64.0};
    struct sound s;
    char why[WHY] = "";
    int rc = sound_decode(data + 2, size - 2, &want, &s, why);
    if (rc == 0 ? !s.n || !s.pcm : s.pcm || !why[0])
        __builtin_trap();
    sound_release(&s);
    return 0;
}
