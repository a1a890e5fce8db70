/* Rows of TABLE, ADD and MULTIPLY with Helium; the predicate of the last vector spares a scalar tail. */
#ifndef HILDA_ELEMENTWISE_MVE_H
#define HILDA_ELEMENTWISE_MVE_H

#include "mve.h"

HILDA_INLINE void hilda_table_row(const int8_t *x, uint32_t n, const int8_t *table, int8_t *out) {
  for (uint32_t i = 0; i < n; i += 16) {
    const mve_pred16_t live = vctp8q(n - i);
    const uint8x16_t index = veorq_u8(vreinterpretq_u8_s8(vldrbq_z_s8(x + i, live)), vdupq_n_u8(128));
    vstrbq_p_s8(out + i, vldrbq_gather_offset_z_s8(table, index, live), live);
  }
}

HILDA_INLINE void hilda_add_row(const int8_t *a, const int8_t *b, uint32_t n, const hilda_rows_shape *shape, int32_t shift,
                                int32_t low, int32_t high, int8_t *out) {
  const int32x4_t least = vdupq_n_s32(low), most = vdupq_n_s32(high), offset = vdupq_n_s32(shape->offset);
  const int32_t factor_a = shape->multiplier, factor_b = shape->multiplier1;
  for (uint32_t i = 0; i < n; i += 4) {
    const mve_pred16_t live = vctp32q(n - i);
    int32x4_t sum = vmlaq_n_s32(offset, vldrbq_z_s32(a + i, live), factor_a);
    sum = vshlq_r_s32(vmlaq_n_s32(sum, vldrbq_z_s32(b + i, live), factor_b), -shift);
    vstrbq_p_s32(out + i, vminq_s32(vmaxq_s32(sum, least), most), live);
  }
}

HILDA_INLINE void hilda_multiply_row(const int8_t *a, const int8_t *b, uint32_t n, int32_t zero_a, int32_t zero_b,
                                     int32_t multiplier, const hilda_quant *quant, int8_t *out) {
  const hilda_vector_quant q = hilda_vector_quant_of(quant);
  const int32x4_t factor = vdupq_n_s32(multiplier);
  for (uint32_t i = 0; i < n; i += 4) {
    const mve_pred16_t live = vctp32q(n - i);
    const int32x4_t left = vsubq_n_s32(vldrbq_z_s32(a + i, live), zero_a);
    const int32x4_t right = vsubq_n_s32(vldrbq_z_s32(b + i, live), zero_b);
    vstrbq_p_s32(out + i, hilda_requantise4(vmulq_s32(left, right), factor, &q), live);
  }
}

#endif
