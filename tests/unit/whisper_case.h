/* tests/unit/whisper_case.h - the golden clips and decoders of tests/golden/whisper-micro */
#ifndef PENSTOCK_WHISPER_CASE_H
#define PENSTOCK_WHISPER_CASE_H

#include "kernels/models/generate/generate.h"
#include "tests/unit/golden.h"

#define WHISPER_CASE "tests/golden/whisper-micro/"

enum { WHISPER_CLIPS = 3, WHISPER_BINS = 80, WHISPER_FRAMES = 300, WHISPER_WIDTH = 22 };

/* Clips first .. end - 1 of inputs.safetensors as rows of a batch that is to be released. */
struct whisper_rows {
    size_t first, end;
    size_t tokens;              /* of each row, WHISPER_WIDTH: with the golden padding; 0: up to its last label */
    size_t heard;               /* frames; 0: all */
    float padding;              /* for the frames that are not heard */
};
void whisper_rows(struct batch *b, const struct safetensors *inputs, const struct whisper_rows *w);

/* Weights of the case ("model", "trained") with the rules of their generation_config.json, ready to decode. */
struct whisper_decoder {
    struct model *m;
    struct tape *t;
    struct rules rules;
    struct generator g;
};
void whisper_decoder_open(struct whisper_decoder *d, const struct compute *k, const char *weights, size_t rows);
void whisper_decoder_close(struct whisper_decoder *d);

#endif
