/* kernels/dsp/mel_block_avx2.c - see mel_block.h: for processors with AVX2 */
#if defined(__x86_64__)
#define VEC 8
#define MEL_KERNEL mel_kernel_avx2
#include "kernels/dsp/mel_block.inc"
#else
typedef int mel_block_avx2_is_empty;
#endif
