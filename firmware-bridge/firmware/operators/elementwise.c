/* TABLE, ADD and MULTIPLY: one output a channel of a row. May work exactly in place. */
#include "call.h"

#if HILDA_HAS_MVE
#include "elementwise-mve.h"
#else
#include "elementwise-scalar.h"
#endif

int hilda_table_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const uint32_t n = record->shape.rows.n;
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, n)) return HILDA_E_CANCELLED;
    hilda_table_row(call->in + row * record->in_stride, n, call->weights, call->out + row * record->out_stride);
  }
  return HILDA_OK;
}

int hilda_add_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, shape->n)) return HILDA_E_CANCELLED;
    hilda_add_row(call->in + row * record->in_stride, call->in1 + row * record->in1_stride, shape->n, shape, record->shift,
                  record->low, record->high, call->out + row * record->out_stride);
  }
  return HILDA_OK;
}

/* Products as 16-bit values: a state of a recurrent cell. */
static void multiply_wide(const hilda_operator *record, const int8_t *a, const int8_t *b, const hilda_quant *quant, int8_t *out) {
  const hilda_rows_shape *shape = &record->shape.rows;
  for (uint32_t i = 0; i < shape->n; i++, out += 2)
    hilda_store16(out, hilda_scale((a[i] - record->zero_in) * (b[i] - record->zero_in1), shape->multiplier, quant));
}

int hilda_multiply_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const hilda_quant quant = hilda_quant_of(record);
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, shape->n)) return HILDA_E_CANCELLED;
    if (record->flags & HILDA_WIDE) {
      multiply_wide(record, call->in + row * record->in_stride, call->in1 + row * record->in1_stride, &quant,
                    call->out + row * record->out_stride);
      continue;
    }
    hilda_multiply_row(call->in + row * record->in_stride, call->in1 + row * record->in1_stride, shape->n, record->zero_in,
                       record->zero_in1, shape->multiplier, &quant, call->out + row * record->out_stride);
  }
  return HILDA_OK;
}
