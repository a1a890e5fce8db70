/* ARG_MAX: where the largest or the least channel of each row stands, as an int32. */
#include "call.h"

int hilda_arg_max_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const uint32_t n = record->shape.rows.n;
  /* Of the complement, the largest is the least; among equals the last is taken where it counts as larger. */
  const int32_t flip = record->flags & HILDA_LEAST ? -1 : 0;
  const int32_t ahead = record->flags & HILDA_LAST ? 0 : 1;
  const int8_t *x = call->in;
  int8_t *out = call->out;
  for (uint32_t row = 0; row < call->rows; row++, x += record->in_stride, out += record->out_stride) {
    if (hilda_cancelled(call, n)) return HILDA_E_CANCELLED;
    int32_t best = x[0] ^ flip;
    uint32_t place = 0;
    for (uint32_t i = 1; i < n; i++) {
      const int32_t value = x[i] ^ flip;
      if (value >= best + ahead) {
        best = value;
        place = i;
      }
    }
    __builtin_memcpy(out, &place, 4);
  }
  return HILDA_OK;
}
