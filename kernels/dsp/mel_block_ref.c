/* kernels/dsp/mel_block_ref.c - see mel_block.h: for any processor */
#define VEC 4
#define MEL_KERNEL mel_kernel_ref
#include "kernels/dsp/mel_block.inc"
