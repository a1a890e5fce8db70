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

/* (a * b + 2^31) >> 32: SMMULR; on ARMv6-M, which has no long multiplication, from four products of halves. */
HILDA_INLINE int32_t hilda_multiply_high(int32_t a, int32_t b) {
#if HILDA_HAS_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
#elif defined(__ARM_ARCH_6M__)
  /* a_high * b_low + (a_low * b_low >> 16) + 2^15 is at most 2^31 - 1: the rounding may be added there. */
  int32_t a_low, b_low, sum;
  const int32_t half = 0x8000;
  __asm__(
      ".syntax unified\n\tuxth %[al], %[a]\n\tuxth %[bl], %[b]\n\tasrs %[a], %[a], #16\n\tasrs %[b], %[b], #16\n\t"
      "mov %[sum], %[al]\n\tmuls %[sum], %[bl], %[sum]\n\tmuls %[bl], %[a], %[bl]\n\tmuls %[al], %[b], %[al]\n\t"
      "muls %[b], %[a], %[b]\n\tlsrs %[sum], %[sum], #16\n\tadds %[bl], %[bl], %[sum]\n\tadd %[bl], %[half]\n\t"
      "uxth %[sum], %[bl]\n\tuxth %[a], %[al]\n\tadds %[sum], %[sum], %[a]\n\tlsrs %[sum], %[sum], #16\n\t"
      "asrs %[bl], %[bl], #16\n\tasrs %[al], %[al], #16\n\tadds %[b], %[b], %[sum]\n\tadds %[b], %[b], %[bl]\n\t"
      "adds %[b], %[b], %[al]\n\t.syntax divided"
      : [a] "+l"(a), [b] "+l"(b), [al] "=&l"(a_low), [bl] "=&l"(b_low), [sum] "=&l"(sum)
      : [half] "r"(half)
      : "cc");
  return b;
#else
  return (int32_t)(((int64_t)a * b + 0x80000000ll) >> 32);
#endif
}

typedef struct hilda_quant {
  int32_t zero_out, low, high;
  uint32_t shift;
} hilda_quant;

HILDA_INLINE int32_t hilda_clamp(int32_t value, int32_t low, int32_t high) {
  if (value < low) value = low; /* a move or a conditional one on every core: no time depends on data */
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
