/* Rows of TABLE, ADD and MULTIPLY without Helium. */
#ifndef HILDA_ELEMENTWISE_SCALAR_H
#define HILDA_ELEMENTWISE_SCALAR_H

#include "arithmetic.h"

HILDA_INLINE void hilda_table_row(const int8_t *x, uint32_t n, const int8_t *table, int8_t *out) {
  const int8_t *end = x + n, *middle = table + 128;
#pragma GCC unroll 4
  while (x != end) *out++ = middle[*x++];
}

HILDA_INLINE void hilda_add_row(const int8_t *a, const int8_t *b, uint32_t n, const hilda_rows_shape *shape, int32_t shift,
                                int32_t low, int32_t high, int8_t *out) {
  const int32_t factor_a = shape->multiplier, factor_b = shape->multiplier1, offset = shape->offset;
#define SUM(i) ((offset + a[i] * factor_a + b[i] * factor_b) >> shift)
  for (; n >= 4; n -= 4, a += 4, b += 4, out += 4) hilda_store_clamped4(out, SUM(0), SUM(1), SUM(2), SUM(3), low, high);
  for (; n > 0; n--, a++, b++) *out++ = (int8_t)hilda_clamp(SUM(0), low, high);
#undef SUM
}

HILDA_INLINE void hilda_multiply_row(const int8_t *a, const int8_t *b, uint32_t n, int32_t zero_a, int32_t zero_b,
                                     int32_t multiplier, const hilda_quant *quant, int8_t *out) {
  const hilda_quant q = *quant;
#define PRODUCT(i) hilda_scale((a[i] - zero_a) * (b[i] - zero_b), multiplier, &q)
  for (; n >= 4; n -= 4, a += 4, b += 4, out += 4)
    hilda_store_clamped4(out, PRODUCT(0), PRODUCT(1), PRODUCT(2), PRODUCT(3), q.low, q.high);
  for (; n > 0; n--, a++, b++) *out++ = (int8_t)hilda_clamp(PRODUCT(0), q.low, q.high);
#undef PRODUCT
}

#endif
