/* kernels/linalg/vec/vec_avx512.c - vec.h with 16 lanes */
#ifdef __AVX512F__
#define VEC vec_avx512
#define PACK pack_ref
#include "kernels/linalg/vec/vec_body.h"
#endif
