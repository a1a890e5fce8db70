/* GATHER: rows of a constant table by int32 indices, which may lie at any address. */
#include "call.h"

int hilda_gather_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const uint32_t n = record->shape.rows.n, k = record->shape.rows.k;
  const int8_t *x = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row++, x += record->in_stride, out += record->out_stride) {
    if (hilda_cancelled(call, n)) return HILDA_E_CANCELLED;
    /* Counted from the end where negative: -k is row 0. As unsigned, whatever lies outside is too large. */
    uint32_t index = hilda_load32(x);
    if (index & 0x80000000u) index += k;
    if (index >= k) return HILDA_E_INDEX;
    __builtin_memmove(out, (const int8_t *)call->weights + (uint64_t)index * n, n);
  }
  return HILDA_OK;
}
