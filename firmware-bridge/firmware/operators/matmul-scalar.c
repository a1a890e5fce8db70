/* One row of a product of two activations without SIMD. */
#include "kernel.h"

#if !HILDA_HAS_DSP && !HILDA_HAS_MVE

void hilda_matmul_block(const hilda_matmul *matmul, const int8_t *const *a, uint32_t rows, int8_t *out) {
  (void)rows;
  int16_t *x = matmul->scratch;
  int32_t sum = 0;
  for (uint32_t i = 0; i < matmul->k; i++) {
    x[i] = (int16_t)(a[0][i] - matmul->zero_a);
    sum += x[i];
  }
  const int32_t bias = -matmul->zero_b * sum;
  for (uint32_t j = 0; j < matmul->n; j++) {
    const int8_t *b = matmul->b + j * matmul->b_row;
    int32_t total = bias;
    for (uint32_t i = 0; i < matmul->k; i++, b += matmul->b_column) total += x[i] * *b;
    out[j * matmul->column_stride] = hilda_requantise(total, matmul->multiplier, &matmul->quant);
  }
}

#endif
