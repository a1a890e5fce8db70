/* SOFTMAX over the channels of each row: a table of exponentials, an integer sum, one reciprocal a row. */
#include "call.h"

/* The index is cut to a byte: a row overwritten while it is read must not lead outside the table. */
static void softmax_row(const int8_t *x, uint32_t n, const uint16_t *table, const hilda_operator *record, int8_t *out) {
  int32_t maximum = -128;
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) maximum = x[i] > maximum ? x[i] : maximum;
  uint32_t sum = 0;
#pragma GCC unroll 4
  for (uint32_t i = 0; i < n; i++) sum += table[(uint8_t)(maximum - x[i])];
  uint32_t shift = 0;
  while (sum >> shift > 0xffffu) shift++;
  const uint32_t divisor = sum >> shift;
  const uint32_t reciprocal = divisor ? 0x80000000u / divisor : 0;
  const uint32_t half = 1u << (14u + shift);
  const int32_t zero_out = record->zero_out, low = record->low, high = record->high;
  shift += 15u;
#define SHARE(i) (zero_out + (int32_t)((((table[(uint8_t)(maximum - x[i])] * reciprocal) >> 8) + half) >> shift))
  for (; n >= 4; n -= 4, x += 4, out += 4) hilda_store_clamped4(out, SHARE(0), SHARE(1), SHARE(2), SHARE(3), low, high);
  for (; n > 0; n--, x++) *out++ = (int8_t)hilda_clamp(SHARE(0), low, high);
#undef SHARE
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
