/* LINEAR: rows times a constant matrix. The matrix kernels are the core class's own (kernel.h). */
#include "kernel.h"

uint32_t hilda_block_rows(uint32_t layout, uint32_t rows) {
  const uint32_t most = layout == HILDA_LAYOUT_ROWS ? 1u : HILDA_BLOCK_ROWS;
  return rows < most ? rows : most;
}

uint32_t hilda_expanded_bytes(uint32_t layout, uint32_t k, uint32_t rows) {
  if (layout != HILDA_LAYOUT_SCALAR && layout != HILDA_LAYOUT_DSP) return 0;
  return 2u * hilda_round_up(k, 4) * hilda_block_rows(layout, rows);
}

uint32_t hilda_gathered_bytes(uint32_t layout, uint32_t k) {
  return layout == HILDA_LAYOUT_MVE ? hilda_round_up(k, 16) : hilda_round_up(k, 4);
}

static void plain_wide(const hilda_linear *linear, const int8_t *x, int8_t *out) {
  const int8_t *weights = linear->weights;
  for (uint32_t j = 0; j < linear->n; j++, out += 2) {
    int32_t sum = linear->bias[j];
    for (uint32_t i = 0; i < linear->k; i++) sum += x[i] * weights[i];
    weights += linear->k;
    hilda_store16(out, hilda_scale(sum, linear->multipliers[j], &linear->quant));
  }
}

/* Row by row: the gates of a recurrent cell, one row a step. */
static int run_wide(const hilda_call *call, const hilda_linear *linear) {
  const hilda_operator *record = call->record;
  const int8_t *x = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row++, x += record->in_stride, out += record->out_stride) {
    if (hilda_cancelled(call, linear->k * linear->n)) return HILDA_E_CANCELLED;
    if (record->layout == HILDA_LAYOUT_ROWS) plain_wide(linear, x, out);
    else hilda_linear_wide(linear, x, out);
  }
  return HILDA_OK;
}

int hilda_linear_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const hilda_linear linear = {
      .weights = call->weights,
      .bias = call->bias,
      .multipliers = call->multipliers,
      .k = shape->k,
      .n = shape->n,
      .quant = hilda_quant_of(record),
      .row_stride = record->out_stride,
      .column_stride = shape->out_column_stride,
      .expanded = call->scratch,
  };
  if (record->flags & HILDA_WIDE) return run_wide(call, &linear);
  const uint32_t block = record->layout == HILDA_LAYOUT_ROWS ? 1u : HILDA_BLOCK_ROWS;
  const int8_t *x = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row += block) {
    const uint32_t rows = call->rows - row < block ? call->rows - row : block;
    if (hilda_cancelled(call, rows * shape->k * shape->n)) return HILDA_E_CANCELLED;
    if (record->layout == HILDA_LAYOUT_ROWS) {
      hilda_linear_plain(&linear, x, out);
    } else {
      const int8_t *pointers[HILDA_BLOCK_ROWS];
      for (uint32_t i = 0; i < rows; i++) pointers[i] = x + i * record->in_stride;
      hilda_linear_block(&linear, pointers, rows, out);
    }
    x += rows * record->in_stride;
    out += rows * record->out_stride;
  }
  return HILDA_OK;
}

void hilda_linear_plain(const hilda_linear *linear, const int8_t *x, int8_t *out) {
  const int8_t *weights = linear->weights;
  for (uint32_t j = 0; j < linear->n; j++) {
    int32_t sum = linear->bias[j];
    for (uint32_t i = 0; i < linear->k; i++) sum += x[i] * weights[i];
    weights += linear->k;
    out[j * linear->column_stride] = hilda_requantise(sum, linear->multipliers[j], &linear->quant);
  }
}
