/* DEPTHWISE: each tap becomes a pointer, taps outside the image point to a row of zero points: no borders in the kernel. */
#include "kernel.h"
#include "window.h"

int hilda_depthwise_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_window_shape *shape = &record->shape.window;
  const hilda_window window = hilda_window_of(call);
  const hilda_depthwise depthwise = {
      .weights = call->weights,
      .bias = call->bias,
      .multipliers = call->multipliers,
      .taps = (uint32_t)shape->kernel_height * shape->kernel_width,
      .channels = shape->in_channels,
      .pitch = hilda_round_up(shape->in_channels, 4),
      .aligned = (((uintptr_t)call->in | record->in_stride) & 3u) == 0, /* scratch is */
      .quant = hilda_quant_of(record),
  };
  int8_t *outside = call->scratch;
  __builtin_memset(outside, record->zero_in, shape->in_channels);
  int8_t *out = call->out;
  const uint32_t step = shape->dilation_width * window.pixel_stride;
  for (uint32_t oy = call->first_row; oy < call->end_row; oy++) {
    const int8_t *rows[HILDA_MAX_TAPS];
    for (uint32_t ky = 0; ky < shape->kernel_height; ky++) rows[ky] = hilda_window_row(&window, oy, ky);
    for (uint32_t ox = 0; ox < shape->out_width; ox++) {
      const int8_t *taps[HILDA_MAX_TAPS];
      const int8_t **tap = taps;
      if (hilda_cancelled(call, depthwise.taps * depthwise.channels)) return HILDA_E_CANCELLED;
      const uint32_t first = hilda_window_column(&window, ox, 0);
      for (uint32_t ky = 0; ky < shape->kernel_height; ky++) {
        const int8_t *row = rows[ky];
        uint32_t ix = first, at = first * window.pixel_stride;
        for (uint32_t kx = 0; kx < shape->kernel_width; kx++) {
          *tap++ = row && ix < shape->in_width ? row + at : outside;
          ix += shape->dilation_width;
          at += step;
        }
      }
      hilda_depthwise_pixel(&depthwise, taps, out);
      out += record->out_stride;
    }
  }
  return HILDA_OK;
}
