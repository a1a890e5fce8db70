/* MATMUL: a product of two activations. */
#include "kernel.h"

uint32_t hilda_matmul_scratch(uint32_t k, uint32_t rows) {
#if HILDA_HAS_MVE
  (void)k;
  (void)rows;
  return 0;
#elif HILDA_HAS_DSP
  return 2u * hilda_round_up(k, 4) * hilda_block_rows(HILDA_NATIVE_LAYOUT, rows);
#else
  (void)rows;
  return 2u * k;
#endif
}

int hilda_matmul_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const hilda_matmul matmul = {
      .b = call->in1,
      .k = shape->k,
      .n = shape->n,
      .b_row = record->in1_stride,
      .b_column = shape->in1_column_stride,
      .zero_a = record->zero_in,
      .zero_b = record->zero_in1,
      .multiplier = shape->multiplier,
      .quant = hilda_quant_of(record),
      .row_stride = record->out_stride,
      .column_stride = shape->out_column_stride,
      .scratch = call->scratch,
  };
  const int8_t *a = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row += HILDA_BLOCK_ROWS) {
    const uint32_t rows = call->rows - row < HILDA_BLOCK_ROWS ? call->rows - row : HILDA_BLOCK_ROWS;
    const int8_t *pointers[HILDA_BLOCK_ROWS];
    if (hilda_cancelled(call, rows * shape->k * shape->n)) return HILDA_E_CANCELLED;
    for (uint32_t i = 0; i < rows; i++) pointers[i] = a + i * record->in_stride;
    hilda_matmul_block(&matmul, pointers, rows, out);
    a += rows * record->in_stride;
    out += rows * record->out_stride;
  }
  return HILDA_OK;
}
