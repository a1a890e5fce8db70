/* The 16-bit SIMD instructions of ARMv7E-M, with the rotation that the intrinsics do not reach. */
#ifndef HILDA_DSP_H
#define HILDA_DSP_H

#include "arithmetic.h"

#if HILDA_HAS_DSP

/* Bytes 0 and 2 as two signed halfwords. */
HILDA_INLINE uint32_t hilda_bytes_02(uint32_t word) {
  uint32_t halves;
  __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
  return halves;
}

/* Bytes 1 and 3 as two signed halfwords. */
HILDA_INLINE uint32_t hilda_bytes_13(uint32_t word) {
  uint32_t halves;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
  return halves;
}

HILDA_INLINE int32_t hilda_smlad(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

HILDA_INLINE int32_t hilda_smlabb(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

HILDA_INLINE int32_t hilda_smlatt(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

HILDA_INLINE uint32_t hilda_pack_low(uint32_t a, uint32_t b) {
  uint32_t halves;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(halves) : "r"(a), "r"(b));
  return halves;
}

HILDA_INLINE uint32_t hilda_pack_high(uint32_t a, uint32_t b) {
  uint32_t halves;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(halves) : "r"(b), "r"(a));
  return halves;
}

HILDA_INLINE uint32_t hilda_subtract_halves(uint32_t a, uint32_t b) {
  uint32_t halves;
  __asm__("ssub16 %0, %1, %2" : "=r"(halves) : "r"(a), "r"(b));
  return halves;
}

/* Up to three bytes, the missing ones zero. */
HILDA_INLINE uint32_t hilda_load_tail(const int8_t *from, uint32_t bytes) {
  uint32_t word = 0;
  for (uint32_t i = 0; i < bytes; i++) word |= (uint32_t)(uint8_t)from[i] << (8u * i);
  return word;
}

#endif
#endif
