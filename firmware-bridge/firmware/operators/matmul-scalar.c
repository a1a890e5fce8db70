/* One row of a product of two activations without SIMD. */
#include "kernel.h"

#if !HILDA_HAS_DSP && !HILDA_HAS_MVE

/* Two columns share the loads of the row. */
static void two_columns(const int16_t *x, uint32_t k, const int8_t *b0, const int8_t *b1, uint32_t step, int32_t sum[2]) {
  int32_t sum0 = sum[0], sum1 = sum[1];
  const int16_t *end = x + k;
#pragma GCC unroll 4
  while (x != end) {
    const int32_t value = *x++;
    sum0 += value * *b0;
    sum1 += value * *b1;
    b0 += step;
    b1 += step;
  }
  sum[0] = sum0;
  sum[1] = sum1;
}

void hilda_matmul_block(const hilda_matmul *matmul, const int8_t *const *a, uint32_t rows, int8_t *out) {
  (void)rows;
  int16_t *x = matmul->scratch;
  int32_t sum = 0;
  for (uint32_t i = 0; i < matmul->k; i++) {
    x[i] = (int16_t)(a[0][i] - matmul->zero_a);
    sum += x[i];
  }
  const hilda_quant quant = matmul->quant;
  const int32_t bias = -matmul->zero_b * sum;
  for (uint32_t j = 0; j < matmul->n; j += 2) {
    const int8_t *b = matmul->b + j * matmul->b_row;
    const uint32_t both = j + 1 < matmul->n;
    int32_t sums[2] = {bias, bias};
    two_columns(x, matmul->k, b, both ? b + matmul->b_row : b, matmul->b_column, sums);
    out[j * matmul->column_stride] = hilda_requantise(sums[0], matmul->multiplier, &quant);
    if (both) out[(j + 1) * matmul->column_stride] = hilda_requantise(sums[1], matmul->multiplier, &quant);
  }
}

#endif
