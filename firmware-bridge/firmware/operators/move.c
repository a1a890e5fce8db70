/* TRANSPOSE, COPY and FILL: bytes moved, nothing computed. */
#include "call.h"

int hilda_transpose_run(const hilda_call *call) {
  const hilda_transpose_shape *shape = &call->record->shape.transpose;
  const uint32_t *size = shape->size, *stride = shape->stride;
  int8_t *out = call->out;
  for (uint32_t a = 0; a < size[0]; a++) {
    for (uint32_t b = 0; b < size[1]; b++) {
      if (hilda_cancelled(call, size[2] * size[3])) return HILDA_E_CANCELLED;
      for (uint32_t c = 0; c < size[2]; c++) {
        const int8_t *x = call->in + a * stride[0] + b * stride[1] + c * stride[2];
        for (uint32_t d = 0; d < size[3]; d++, x += stride[3]) *out++ = *x;
      }
    }
  }
  return HILDA_OK;
}

int hilda_copy_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, record->shape.rows.n)) return HILDA_E_CANCELLED;
    __builtin_memmove(call->out + row * record->out_stride, call->in + row * record->in_stride, record->shape.rows.n);
  }
  return HILDA_OK;
}

int hilda_fill_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  for (uint32_t row = 0; row < call->rows; row++) {
    if (hilda_cancelled(call, record->shape.rows.n)) return HILDA_E_CANCELLED;
    __builtin_memset(call->out + row * record->out_stride, record->zero_out, record->shape.rows.n);
  }
  return HILDA_OK;
}
