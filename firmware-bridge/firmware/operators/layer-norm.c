/* LAYER_NORM over the channels of each row: exact integer sums, an integer square root, one reciprocal a row. */
#include "call.h"

/* floor(sqrt(value)), bit by bit: sixteen rounds, no division. */
static uint32_t square_root(uint32_t value) {
  uint32_t root = 0;
  for (uint32_t bit = 1u << 30; bit; bit >>= 2) {
    if (value >= root + bit) {
      value -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  return root;
}

/* The high word of a signed product, rounded down. */
HILDA_INLINE int32_t multiply_high_down(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__)
  const uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
  const int32_t a_high = a >> 16, b_high = b >> 16;
  const int32_t cross = a_high * (int32_t)b_low + (int32_t)((a_low * b_low) >> 16);
  const int32_t other = (int32_t)a_low * b_high;
  const uint32_t carry = ((uint32_t)cross & 0xffffu) + ((uint32_t)other & 0xffffu);
  return a_high * b_high + (cross >> 16) + (other >> 16) + (int32_t)(carry >> 16);
#else
  return (int32_t)(((int64_t)a * b) >> 32);
#endif
}

/* The low word of a * b << left >> right, rounding down, for b <= 2^16 and right <= 16; one of the shifts is 0. The product
 * is made of two halves, so that no core needs 64 bits. */
HILDA_INLINE int32_t shifted_product(int32_t a, uint32_t b, uint32_t left, uint32_t right) {
  const uint32_t low = ((uint32_t)a & 0xffffu) * b, high = (uint32_t)(a >> 16) * b;
  return (int32_t)((high << (16u + left - right)) + (low << left >> right));
}

static void layer_norm_row(const hilda_call *call, const int8_t *x, int8_t *out) {
  const hilda_operator *record = call->record;
  const uint32_t n = record->shape.rows.n;
  int32_t sum = 0;
  uint32_t squares = 0;
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) {
    const int32_t value = x[i];
    sum += value;
    squares += (uint32_t)(value * value);
  }
  uint64_t variance = (uint64_t)n * squares - (uint64_t)((int64_t)sum * sum) + (uint32_t)record->shape.rows.multiplier;
  if (variance == 0) variance = 1;
  int32_t scale = 0; /* h of ABI.md */
  while (variance >= 0x100000000ull) {
    variance >>= 2;
    scale -= 2;
  }
  uint32_t normal = (uint32_t)variance;
  while (normal < 0x40000000u) {
    normal <<= 2;
    scale += 2;
  }
  const uint32_t reciprocal = 0x80000000u / square_root(normal);
  const int32_t *gamma = call->multipliers, *beta = call->bias;
  const int32_t shift = scale / 2 - 7, width = (int32_t)n; /* shift is -11..8 */
  const uint32_t left = shift > 0 ? (uint32_t)shift : 0, right = shift < 0 ? (uint32_t)-shift : 0;
  const int32_t low = record->low, high = record->high, fraction = record->shift;
#define NORMAL(i) \
  ((multiply_high_down(shifted_product(x[i] * width - sum, reciprocal, left, right), gamma[i]) + beta[i]) >> fraction)
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4)
    hilda_store_clamped4(out + i, NORMAL(i), NORMAL(i + 1), NORMAL(i + 2), NORMAL(i + 3), low, high);
  for (; i < n; i++) out[i] = (int8_t)hilda_clamp(NORMAL(i), low, high);
#undef NORMAL
}

int hilda_layer_norm_run(const hilda_call *call) {
  const int8_t *x = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, call->record->shape.rows.n)) return HILDA_E_CANCELLED;
    layer_norm_row(call, x, out);
    x += call->record->in_stride;
    out += call->record->out_stride;
  }
  return HILDA_OK;
}
