/* kernels/dsp/mel_block_avx512.c - see mel_block.h: for processors with AVX512 */
#if defined(__x86_64__)
#define VEC 16
#define MEL_KERNEL mel_kernel_avx512
#include "kernels/dsp/mel_block.inc"
#else
typedef int mel_block_avx512_is_empty;
#endif
