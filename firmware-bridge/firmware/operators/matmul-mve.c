/* A block of rows of a product of two activations with Helium. */
#include "kernel.h"

#if HILDA_HAS_MVE
#include "mve.h"

static int32_t sum_of(const int8_t *values, uint32_t k) {
  int32_t sum = 0;
  for (uint32_t i = 0; i < k; i += 16) sum = vaddvaq_s8(sum, vldrbq_z_s8(values + i, vctp8q(k - i)));
  return sum;
}

/* Column j of b is a row of k contiguous values: sum (a - za)(b - zb) = sum ab - zb sum a - za sum b + k za zb. */
static void column(const hilda_matmul *m, const int8_t *a0, const int8_t *a1, const int8_t *b, const int32_t bias[2],
                   int32_t sum[2]) {
  int32_t sum0 = bias[0], sum1 = bias[1], sum_b = 0;
  for (uint32_t i = 0; i < m->k; i += 16) {
    const mve_pred16_t live = vctp8q(m->k - i);
    const int8x16_t values = vldrbq_z_s8(b + i, live);
    sum0 = vmladavaq_s8(sum0, vldrbq_z_s8(a0 + i, live), values);
    sum1 = vmladavaq_s8(sum1, vldrbq_z_s8(a1 + i, live), values);
    sum_b = vaddvaq_s8(sum_b, values);
  }
  sum[0] = sum0 - m->zero_a * sum_b;
  sum[1] = sum1 - m->zero_a * sum_b;
}

/* b is stored as [k][n]: four columns a vector, the values of a as scalars. */
static void four_columns(const hilda_matmul *m, const int8_t *a0, const int8_t *a1, const int8_t *b, uint32_t columns,
                         const int32_t bias[2], int8_t *out, uint32_t rows) {
  const hilda_vector_quant quant = hilda_vector_quant_of(&m->quant);
  const mve_pred16_t live = vctp32q(columns);
  int32x4_t sum0 = vdupq_n_s32(bias[0]), sum1 = vdupq_n_s32(bias[1]);
  for (uint32_t i = 0; i < m->k; i++, b += m->b_column) {
    const int32x4_t values = vldrbq_z_s32(b, live);
    sum0 = vmlaq_n_s32(sum0, values, a0[i] - m->zero_a);
    sum1 = vmlaq_n_s32(sum1, values, a1[i] - m->zero_a);
  }
  const int32x4_t multiplier = vdupq_n_s32(m->multiplier);
  hilda_store4(out, hilda_requantise4(sum0, multiplier, &quant), m->column_stride, columns);
  if (rows > 1)
    hilda_store4(out + m->row_stride, hilda_requantise4(sum1, multiplier, &quant), m->column_stride, columns);
}

void hilda_matmul_block(const hilda_matmul *m, const int8_t *const *a, uint32_t rows, int8_t *out) {
  const int8_t *a0 = a[0], *a1 = rows > 1 ? a[1] : a[0];
  const int32_t k = (int32_t)m->k;
  const int32_t whole[2] = {-m->zero_b * (sum_of(a0, m->k) - k * m->zero_a), -m->zero_b * (sum_of(a1, m->k) - k * m->zero_a)};
  if (m->b_column != 1) {
    for (uint32_t j = 0; j < m->n; j += 4) {
      const uint32_t columns = m->n - j < 4 ? m->n - j : 4;
      four_columns(m, a0, a1, m->b + j, columns, whole, out + j * m->column_stride, rows);
    }
    return;
  }
  for (uint32_t j = 0; j < m->n; j++) {
    int32_t sum[2];
    column(m, a0, a1, m->b + j * m->b_row, whole, sum);
    int8_t *to = out + j * m->column_stride;
    *to = hilda_requantise(sum[0], m->multiplier, &m->quant);
    if (rows > 1) to[m->row_stride] = hilda_requantise(sum[1], m->multiplier, &m->quant);
  }
}

#endif
