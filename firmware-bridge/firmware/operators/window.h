/* Where the taps of one output pixel lie: shared by convolution, depthwise and the pools. */
#ifndef HILDA_WINDOW_H
#define HILDA_WINDOW_H

#include "call.h"

typedef struct hilda_window {
  const hilda_window_shape *shape;
  const int8_t *in;
  uint32_t pixel_stride, row_stride; /* bytes */
  uint32_t ring_rows;
} hilda_window;

HILDA_INLINE hilda_window hilda_window_of(const hilda_call *call) {
  const hilda_window_shape *shape = &call->record->shape.window;
  const hilda_window window = {shape, call->in, call->record->in_stride, shape->in_width * call->record->in_stride,
                               call->ring_rows};
  return window;
}

/* The input row of tap row ky of output row oy, or NULL outside the image. */
HILDA_INLINE const int8_t *hilda_window_row(const hilda_window *window, uint32_t oy, uint32_t ky) {
  const hilda_window_shape *s = window->shape;
  uint32_t iy = oy * s->stride_height + ky * s->dilation_height - s->pad_top; /* wraps to huge when negative */
  if (iy >= s->in_height) return 0;
  if (window->ring_rows) iy %= window->ring_rows;
  return window->in + iy * window->row_stride;
}

/* The input column of tap column kx of output column ox; >= in_width outside the image. */
HILDA_INLINE uint32_t hilda_window_column(const hilda_window *window, uint32_t ox, uint32_t kx) {
  const hilda_window_shape *s = window->shape;
  return ox * s->stride_width + kx * s->dilation_width - s->pad_left;
}

#endif
