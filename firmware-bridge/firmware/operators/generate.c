/* GENERATE: weights of +127 and -127 from a seed, in the order in which the kernels read them (ABI.md, GENERATE). */
#include "kernel.h"

#if HILDA_HAS_MVE
#include <arm_mve.h>
#endif

/* Where the stream of a block of four outputs begins: splitmix32, so that neighbouring blocks and seeds are unrelated. */
static uint32_t stream_of(uint32_t seed, uint32_t block) {
  uint32_t x = seed + (block + 1u) * 0x9e3779b9u;
  x ^= x >> 16;
  x *= 0x21f0aaadu;
  x ^= x >> 15;
  x *= 0x735a2d97u;
  x ^= x >> 15;
  return x ? x : 0x9e3779b9u; /* xorshift32 stands still at 0 */
}

/* xorshift32, as in the weight pool: the signs of four outputs for eight inputs. */
HILDA_INLINE uint32_t next(uint32_t x) {
  x ^= x << 13;
  x ^= x >> 17;
  return x ^ x << 5;
}

/* Layout 0: outputs of a block as they come, `rows` of them. */
static __attribute__((noinline)) void plain_block(uint32_t x, uint32_t k, uint32_t rows, int8_t *out) {
  for (uint32_t i = 0; i < k; i++) {
    if (i % 8u == 0) x = next(x);
    const uint32_t bits = x >> (4u * (i % 8u));
    for (uint32_t j = 0; j < rows; j++) out[j * k + i] = (bits >> j) & 1u ? -127 : 127;
  }
}

#if HILDA_HAS_MVE

/* Layout 3: sixteen inputs are eight bytes of signs, spread to a byte an input; bit j of each is output j's. */
static __attribute__((noinline)) void native_block(uint32_t x, uint32_t k, uint8_t *out) {
  for (uint32_t at = 0; at < k; at += 16, out += 64) {
    uint32_t words[2];
    words[0] = next(x);
    words[1] = x = next(words[0]);
    const uint16x8_t bytes = vldrbq_u16((const uint8_t *)words);
    const uint8x16_t signs = vreinterpretq_u8_u16(
        vandq_u16(vorrq_u16(bytes, vshlq_n_u16(bytes, 4)), vdupq_n_u16(0x0f0f)));
    /* A set bit moves to the top and fills the byte: (-1 & -2) ^ 127 is -127, (0 & -2) ^ 127 is 127. */
#define OUTPUT(j)                                                                                             \
  vstrbq_s8((int8_t *)out + 16 * (j),                                                                         \
            veorq_s8(vandq_s8(vshrq_n_s8(vreinterpretq_s8_u8(vshlq_n_u8(signs, 7 - (j))), 7), vdupq_n_s8(-2)), \
                     vdupq_n_s8(127)))
    OUTPUT(0);
    OUTPUT(1);
    OUTPUT(2);
    OUTPUT(3);
#undef OUTPUT
  }
}

#else

/* Two pairs of weights by their four signs: pair(127, 127) = 0x7f7f, pair(127, -127) = 0x7e81, and so on. */
#define LOW(bits) ((bits) & 1 ? ((bits) & 2 ? 0x8081u : 0x7e81u) : ((bits) & 2 ? 0x817fu : 0x7f7fu))
#define WORD(bits) (LOW(bits) | LOW((bits) >> 2) << 16)
static const uint32_t pairs[16] = {WORD(0), WORD(1), WORD(2),  WORD(3),  WORD(4),  WORD(5),  WORD(6),  WORD(7),
                                   WORD(8), WORD(9), WORD(10), WORD(11), WORD(12), WORD(13), WORD(14), WORD(15)};
#undef LOW
#undef WORD

/* Four bits of `signs` from bit `at` on. ARMv6-M takes fewer instructions to a byte offset, the others to an index. */
HILDA_INLINE uint32_t pairs_at(uint32_t signs, uint32_t at) {
#if defined(__ARM_ARCH_6M__)
  const uint32_t offset = (at ? signs >> (at - 2u) : signs << 2) & 60u;
  return *(const uint32_t *)(const void *)((const uint8_t *)pairs + offset);
#else
  return pairs[(signs >> at) & 15u];
#endif
}

/* Of each 2s bits at a time, swaps those in `mask` with those s places above. */
HILDA_INLINE uint32_t swap_bits(uint32_t x, uint32_t mask, uint32_t s) {
  const uint32_t differ = (x ^ x >> s) & mask;
  return x ^ differ ^ differ << s;
}

/* Layout 1: a word an input. Layout 2: a word for inputs h and h + 2 of four and output pair p. A function of its own, so
 * that its loop has the registers. */
static __attribute__((noinline)) void native_block(uint32_t x, uint32_t k, uint8_t *to) {
  uint32_t *out = (uint32_t *)(void *)to;
  for (uint32_t groups = (k + 3u) / 4u;; groups -= 2, out += 8) {
    x = next(x);
#if HILDA_HAS_DSP
    /* Pairs of bits in the order input, p become h, p, input. */
    const uint32_t signs = swap_bits(swap_bits(x, 0x00f000f0u, 4), 0x0c0c0c0cu, 2);
#else
    const uint32_t signs = x;
#endif
    out[0] = pairs_at(signs, 0);
    out[1] = pairs_at(signs, 4);
    out[2] = pairs_at(signs, 8);
    out[3] = pairs_at(signs, 12);
    if (groups == 1) return;
    out[4] = pairs_at(signs, 16);
    out[5] = pairs_at(signs, 20);
    out[6] = pairs_at(signs, 24);
    out[7] = pairs_at(signs, 28);
    if (groups == 2) return;
  }
}

#endif

int hilda_generate_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const uint32_t plain = record->layout == HILDA_LAYOUT_ROWS;
  const uint32_t block_bytes = hilda_packed_bytes(record->layout, 4, shape->k);
  uint8_t *out = (uint8_t *)call->out;
  for (uint32_t from = 0, block = call->offset; from < shape->n; from += 4, block++, out += block_bytes) {
    const uint32_t stream = stream_of((uint32_t)shape->multiplier, block), left = shape->n - from;
    if (hilda_cancelled(call, 4u * shape->k)) return HILDA_E_CANCELLED;
    if (plain) plain_block(stream, shape->k, left < 4u ? left : 4u, (int8_t *)out);
    else native_block(stream, shape->k, out);
  }
  return HILDA_OK;
}
