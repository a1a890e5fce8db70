/* TABLE, ADD and MULTIPLY: one output a channel of a row. May work exactly in place. */
#include "call.h"

/* Fields are copied to locals: the compiler must take it that a store through int8_t changes them. */

int hilda_table_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const int8_t *table = (const int8_t *)call->weights + 128;
  const uint32_t n = record->shape.rows.n;
  for (uint32_t row = 0; row < call->rows; row++) {
    const int8_t *x = call->in + row * record->in_stride, *end = x + n;
    int8_t *out = call->out + row * record->out_stride;
    if (hilda_cancelled(call, n)) return HILDA_E_CANCELLED;
#pragma GCC unroll 4
    while (x != end) *out++ = table[*x++];
  }
  return HILDA_OK;
}

int hilda_add_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const int32_t low = record->low, high = record->high, shift = record->shift;
  const int32_t factor_a = shape->multiplier, factor_b = shape->multiplier1, offset = shape->offset;
  for (uint32_t row = 0; row < call->rows; row++) {
    const int8_t *a = call->in + row * record->in_stride, *end = a + shape->n;
    const int8_t *b = call->in1 + row * record->in1_stride;
    int8_t *out = call->out + row * record->out_stride;
    if (hilda_cancelled(call, shape->n)) return HILDA_E_CANCELLED;
#pragma GCC unroll 4
    while (a != end) *out++ = (int8_t)hilda_clamp((offset + *a++ * factor_a + *b++ * factor_b) >> shift, low, high);
  }
  return HILDA_OK;
}

int hilda_multiply_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const hilda_quant quant = hilda_quant_of(record);
  const int32_t zero_a = record->zero_in, zero_b = record->zero_in1, multiplier = shape->multiplier;
  for (uint32_t row = 0; row < call->rows; row++) {
    const int8_t *a = call->in + row * record->in_stride, *end = a + shape->n;
    const int8_t *b = call->in1 + row * record->in1_stride;
    int8_t *out = call->out + row * record->out_stride;
    if (hilda_cancelled(call, shape->n)) return HILDA_E_CANCELLED;
#pragma GCC unroll 4
    while (a != end) *out++ = hilda_requantise((*a++ - zero_a) * (*b++ - zero_b), multiplier, &quant);
  }
  return HILDA_OK;
}
