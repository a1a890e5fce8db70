/* Integer arithmetic shared by all kernels: bit-exact on every core (ABI.md, "Arithmetic"). Built with -fwrapv. */
#ifndef HILDA_ARITHMETIC_H
#define HILDA_ARITHMETIC_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#define HILDA_HAS_DSP 1
#include <arm_acle.h>
#else
#define HILDA_HAS_DSP 0
#endif

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define HILDA_HAS_MVE 1
#else
#define HILDA_HAS_MVE 0
#endif

#define HILDA_INLINE static inline __attribute__((always_inline))

HILDA_INLINE uint32_t hilda_round_up(uint32_t value, uint32_t multiple) {
  return (value + multiple - 1u) & ~(multiple - 1u);
}

/* (a * b + 2^31) >> 32: SMMULR; on ARMv6-M, which has no long multiplication, from four 16-bit products. */
HILDA_INLINE int32_t hilda_multiply_high(int32_t a, int32_t b) {
#if HILDA_HAS_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
#elif defined(__ARM_ARCH_6M__) || defined(HILDA_SPLIT_PRODUCTS)
  const uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
  const int32_t a_high = a >> 16, b_high = b >> 16;
  const int32_t cross = a_high * (int32_t)b_low + (int32_t)((a_low * b_low) >> 16);
  const int32_t other = (int32_t)a_low * b_high;
  const uint32_t carry = ((uint32_t)cross & 0xffffu) + ((uint32_t)other & 0xffffu) + 0x8000u;
  return a_high * b_high + (cross >> 16) + (other >> 16) + (int32_t)(carry >> 16);
#else
  return (int32_t)(((int64_t)a * b + 0x80000000ll) >> 32);
#endif
}

typedef struct hilda_quant {
  int32_t zero_out, low, high;
  uint32_t shift;
} hilda_quant;

HILDA_INLINE int32_t hilda_clamp(int32_t value, int32_t low, int32_t high) {
  if (value < low) value = low;
  if (value > high) value = high;
  return value;
}

HILDA_INLINE int8_t hilda_requantise(int32_t accumulator, int32_t multiplier, const hilda_quant *q) {
  const int32_t scaled = hilda_multiply_high((int32_t)((uint32_t)accumulator << q->shift), multiplier);
  return (int8_t)hilda_clamp(scaled + q->zero_out, q->low, q->high);
}

/* Unaligned words; the builtin stays inline even where -ffreestanding makes memcpy a call. */
HILDA_INLINE uint32_t hilda_load32(const void *from) {
  uint32_t word;
  __builtin_memcpy(&word, from, 4);
  return word;
}

#endif
