/* kernels/text/tokenizer/classes.h - the letters and numbers of Unicode 16, as ranges */
#ifndef PENSTOCK_CLASSES_H
#define PENSTOCK_CLASSES_H

#include <stdint.h>

enum { CLASS_LETTERS = 677, CLASS_NUMBERS = 144 };
extern const uint32_t class_letters[CLASS_LETTERS][2], class_numbers[CLASS_NUMBERS][2];

#endif
