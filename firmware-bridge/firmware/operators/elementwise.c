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
#define SUM(i) ((offset + a[i] * factor_a + b[i] * factor_b) >> shift)
    for (; end - a >= 4; a += 4, b += 4, out += 4) hilda_store_clamped4(out, SUM(0), SUM(1), SUM(2), SUM(3), low, high);
    for (; a != end; a++, b++) *out++ = (int8_t)hilda_clamp(SUM(0), low, high);
#undef SUM
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
#define PRODUCT(i) hilda_scale((a[i] - zero_a) * (b[i] - zero_b), multiplier, &quant)
    for (; end - a >= 4; a += 4, b += 4, out += 4)
      hilda_store_clamped4(out, PRODUCT(0), PRODUCT(1), PRODUCT(2), PRODUCT(3), quant.low, quant.high);
    for (; a != end; a++, b++) *out++ = (int8_t)hilda_clamp(PRODUCT(0), quant.low, quant.high);
#undef PRODUCT
  }
  return HILDA_OK;
}
