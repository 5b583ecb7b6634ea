/* kernels/linalg/vec/vec_ref.c - vec.h for any processor */
#define VEC vec_ref
#define PACK pack_ref
#include "kernels/linalg/vec/vec_body.h"
