/* libcommon/cli/opt_help.h - the text of --help; for opt.c alone */
#ifndef PENSTOCK_OPT_HELP_H
#define PENSTOCK_OPT_HELP_H

#include "libcommon/cli/opt.h"

/* Prints the help on standard output: one option a line while that fits a screen
 * of 24 lines, else option after option under their headings, without the
 * explanations, which are then in the man page. */
void opt_help(const struct program *p, const struct opt *common, int ends);
/* How the value is named: "N", "FILE", "linear|cosine". */
const char *opt_arg(const struct opt *o);
/* What is accepted: "a number from 1 to 256". */
void opt_range(const struct opt *o, char *text, size_t room);

#endif
