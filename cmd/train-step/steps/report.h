/* cmd/train-step/steps/report.h - how training goes: a line for people, lines of JSON, the log in the checkpoint */
#ifndef PENSTOCK_TRAIN_REPORT_H
#define PENSTOCK_TRAIN_REPORT_H

#include "cmd/train-step/run/trainer.h"

void report_begin(struct trainer *t);
/* After each step. */
void report_progress(const struct trainer *t, bool final);
/* A line of metrics, and of log_history; begins the next. */
void report_log(struct trainer *t);
/* What was done since the clock stood at `since` was no step. */
void report_pause(struct trainer *t, double since);

#endif
