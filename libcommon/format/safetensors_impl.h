/* libcommon/format/safetensors_impl.h - what the files of safetensors share */
#ifndef PENSTOCK_SAFETENSORS_IMPL_H
#define PENSTOCK_SAFETENSORS_IMPL_H

#include "libcommon/format/safetensors.h"

void st_sort(struct safetensors *st);       /* by name, as safetensors_find needs it */

#endif
