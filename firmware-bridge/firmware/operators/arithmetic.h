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

/* Scaled, with the zero point, not yet clamped. */
HILDA_INLINE int32_t hilda_scale(int32_t accumulator, int32_t multiplier, const hilda_quant *q) {
  return hilda_multiply_high((int32_t)((uint32_t)accumulator << q->shift), multiplier) + q->zero_out;
}

HILDA_INLINE int8_t hilda_requantise(int32_t accumulator, int32_t multiplier, const hilda_quant *q) {
  return (int8_t)hilda_clamp(hilda_scale(accumulator, multiplier, q), q->low, q->high);
}

#if HILDA_HAS_DSP
/* A clamp of four bytes at a time: SSUB8 sets the flags by which SEL chooses. */
HILDA_INLINE uint32_t hilda_clamp_bytes(uint32_t bytes, uint32_t low4, uint32_t high4) {
  uint32_t unused;
  __asm__("ssub8 %1, %0, %2\n\tsel %0, %0, %2\n\tssub8 %1, %3, %0\n\tsel %0, %0, %3"
          : "+r"(bytes), "=&r"(unused)
          : "r"(low4), "r"(high4)
          : "cc");
  return bytes;
}

HILDA_INLINE uint32_t hilda_saturate(int32_t value) {
  uint32_t byte;
  __asm__("ssat %0, #8, %1" : "=r"(byte) : "r"(value) : "cc");
  return byte;
}
#endif

/* Clamps and stores four neighbouring outputs. */
HILDA_INLINE void hilda_store_clamped4(int8_t *out, int32_t a, int32_t b, int32_t c, int32_t d, int32_t low, int32_t high) {
#if HILDA_HAS_DSP
  const uint32_t even = (hilda_saturate(a) & 0xffu) | (hilda_saturate(c) & 0xffu) << 16;
  const uint32_t odd = (hilda_saturate(b) & 0xffu) | (hilda_saturate(d) & 0xffu) << 16;
  const uint32_t word = hilda_clamp_bytes(even | odd << 8, (uint8_t)low * 0x01010101u, (uint8_t)high * 0x01010101u);
  __builtin_memcpy(out, &word, 4);
#else
  out[0] = (int8_t)hilda_clamp(a, low, high);
  out[1] = (int8_t)hilda_clamp(b, low, high);
  out[2] = (int8_t)hilda_clamp(c, low, high);
  out[3] = (int8_t)hilda_clamp(d, low, high);
#endif
}

/* 16-bit values at any address. */
HILDA_INLINE int32_t hilda_load16(const void *from) {
  int16_t half;
  __builtin_memcpy(&half, from, 2);
  return half;
}

HILDA_INLINE void hilda_store16(void *to, int32_t value) {
  const int16_t half = (int16_t)hilda_clamp(value, -32768, 32767);
  __builtin_memcpy(to, &half, 2);
}

/* Unaligned words; the builtin stays inline even where -ffreestanding makes memcpy a call. */
HILDA_INLINE uint32_t hilda_load32(const void *from) {
  uint32_t word;
  __builtin_memcpy(&word, from, 4);
  return word;
}

#endif
