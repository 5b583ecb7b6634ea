/* kernels/linalg/vec/vec_avx2.c - vec.h with 8 lanes */
#ifdef __AVX2__
#define VEC vec_avx2
#define PACK pack_ref
#include "kernels/linalg/vec/vec_body.h"
#endif
