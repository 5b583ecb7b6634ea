/* kernels/models/generate/credible.c - measures by which transformers and OpenAI's code tell a hallucination
 *
 * An answer that repeats itself compresses too well; one that the model doubts has a low
 * mean log probability.  Such answers are tried again at a higher temperature. */
#include "kernels/models/generate/generate.h"

#include <math.h>
#include <stdlib.h>
#include <zlib.h>

double compression_ratio(const int32_t *ids, size_t n, size_t vocab)
{
    size_t width = (size_t)(log2((double)vocab) / 8) + 1, size = n * width;
    uLongf packed = compressBound((uLong)size);
    unsigned char *raw = malloc(size + 1), *to = malloc(packed);
    double ratio = 0;
    for (size_t i = 0; raw && i < n; i++)
        for (size_t b = 0; b < width; b++)
            raw[i * width + b] = (unsigned char)((uint32_t)ids[i] >> 8 * b);
    if (n && raw && to && compress(to, &packed, raw, (uLong)size) == Z_OK)
        ratio = (double)size / (double)packed;
    free(raw);
    free(to);
    return ratio;
}

double mean_logprob(const struct generate_row *row)
{
    size_t n = row->n + row->ended;
    return n ? row->logprob / (double)n : 0;
}
