/* cmd/train-step/eval/predict.h - the word error rate of what the model says, during training (--predict-with-generate) */
#ifndef PENSTOCK_TRAIN_PREDICT_H
#define PENSTOCK_TRAIN_PREDICT_H

#include "cmd/train-step/run/trainer.h"
#include "kernels/text/wer.h"

struct predictor;
/* Memory for answers to batches like the collator's.  Borrows t's tape and model. */
struct predictor *predictor_new(struct trainer *t, struct error *e);
void predictor_free(struct predictor *p);
/* Answers the batch's rows, greedily, each prompted with what comes before its text, and adds their
 * errors against its labels (both without special tokens, not normalised).  Uses the batch up. */
int predict_batch(struct predictor *p, struct batch *b, struct wer_count *count, struct error *e);

#endif
