/* SOFTMAX over the channels of each row: a table of exponentials, an integer sum, one reciprocal a row. */
#include "call.h"

/* The index is cut to a byte: a row overwritten while it is read must not lead outside the table. */
static void softmax_row(const int8_t *x, uint32_t n, const uint16_t *table, const hilda_operator *record, int8_t *out) {
  int32_t maximum = -128;
  for (uint32_t i = 0; i < n; i++)
    if (x[i] > maximum) maximum = x[i];
  uint32_t sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += table[(uint8_t)(maximum - x[i])];
  uint32_t shift = 0;
  while (sum >> shift > 0xffffu) shift++;
  const uint32_t divisor = sum >> shift;
  const uint32_t reciprocal = divisor ? 0x80000000u / divisor : 0;
  const uint32_t half = 1u << (14u + shift);
  const int32_t zero_out = record->zero_out, low = record->low, high = record->high;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t scaled = (table[(uint8_t)(maximum - x[i])] * reciprocal) >> 8;
    const int32_t value = (int32_t)((scaled + half) >> (15u + shift)) + zero_out;
    out[i] = (int8_t)hilda_clamp(value, low, high);
  }
}

int hilda_softmax_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const int8_t *x = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, record->shape.rows.n)) return HILDA_E_CANCELLED;
    softmax_row(x, record->shape.rows.n, call->weights, record, out);
    x += record->in_stride;
    out += record->out_stride;
  }
  return HILDA_OK;
}
