/* TABLE, ADD and MULTIPLY: one output a channel of a row. May work exactly in place. */
#include "call.h"

int hilda_table_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const int8_t *table = (const int8_t *)call->weights + 128;
  const uint32_t n = record->shape.rows.n;
  for (uint32_t row = 0; row < call->rows; row++) {
    const int8_t *x = call->in + row * record->in_stride;
    int8_t *out = call->out + row * record->out_stride;
    if (hilda_cancelled(call, n)) return HILDA_E_CANCELLED;
    for (uint32_t i = 0; i < n; i++) out[i] = table[x[i]];
  }
  return HILDA_OK;
}

int hilda_add_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const int32_t low = record->low, high = record->high;
  for (uint32_t row = 0; row < call->rows; row++) {
    const int8_t *a = call->in + row * record->in_stride;
    const int8_t *b = call->in1 + row * record->in1_stride;
    int8_t *out = call->out + row * record->out_stride;
    if (hilda_cancelled(call, shape->n)) return HILDA_E_CANCELLED;
    for (uint32_t i = 0; i < shape->n; i++) {
      const int32_t sum = a[i] * shape->multiplier + b[i] * shape->multiplier1 + shape->offset;
      out[i] = (int8_t)hilda_clamp(sum >> record->shift, low, high);
    }
  }
  return HILDA_OK;
}

int hilda_multiply_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const hilda_quant quant = hilda_quant_of(record);
  for (uint32_t row = 0; row < call->rows; row++) {
    const int8_t *a = call->in + row * record->in_stride;
    const int8_t *b = call->in1 + row * record->in1_stride;
    int8_t *out = call->out + row * record->out_stride;
    if (hilda_cancelled(call, shape->n)) return HILDA_E_CANCELLED;
    for (uint32_t i = 0; i < shape->n; i++) {
      const int32_t product = (a[i] - record->zero_in) * (b[i] - record->zero_in1);
      out[i] = hilda_requantise(product, shape->multiplier, &quant);
    }
  }
  return HILDA_OK;
}
