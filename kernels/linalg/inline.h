/* kernels/linalg/inline.h - for tiles in registers: what must be inlined, and loops that must be unrolled */
#ifndef PENSTOCK_INLINE_H
#define PENSTOCK_INLINE_H

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#endif
