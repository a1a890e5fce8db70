/* Copying inside kernels: the C library's small memcpy moves single bytes, and leaves overlap undefined. */
#ifndef HILDA_COPY_H
#define HILDA_COPY_H

#include "arithmetic.h"

typedef uint32_t __attribute__((may_alias)) hilda_word;

/* Ascending, by words where both ends allow it. Overlapping ranges give some value, never a wrong access. */
HILDA_INLINE void hilda_copy_bytes(int8_t *to, const int8_t *from, uint32_t bytes) {
#if HILDA_HAS_DSP || defined(__ARM_FEATURE_UNALIGNED)
  for (; bytes >= 4; bytes -= 4, to += 4, from += 4) {
    const uint32_t word = hilda_load32(from);
    __builtin_memcpy(to, &word, 4);
  }
#else
  if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0) {
    for (; bytes >= 4; bytes -= 4, to += 4, from += 4) *(hilda_word *)(void *)to = *(const hilda_word *)(const void *)from;
  }
#endif
  while (bytes-- > 0) *to++ = *from++;
}

#endif
