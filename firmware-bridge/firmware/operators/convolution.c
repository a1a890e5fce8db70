/* CONV2D: the taps of a block of output pixels are gathered into contiguous rows, then multiplied as by LINEAR. */
#include "copy.h"
#include "kernel.h"
#include "window.h"

/* Gathers kernel_height * kernel_width * in_channels values in the order (ky, kx, c); taps outside read zero. */
static void gather(const hilda_window *window, uint32_t oy, uint32_t ox, int32_t zero, int8_t *to) {
  const hilda_window_shape *s = window->shape;
  const uint32_t channels = s->in_channels;
  const uint32_t first = hilda_window_column(window, ox, 0);
  const uint32_t last = hilda_window_column(window, ox, s->kernel_width - 1u);
  /* Where a tap row lies inside the image without gaps it is one copy. */
  const int dense = window->pixel_stride == channels && s->dilation_width == 1 && first <= last && last < s->in_width;
  for (uint32_t ky = 0; ky < s->kernel_height; ky++) {
    const int8_t *row = hilda_window_row(window, oy, ky);
    if (row && dense) {
      hilda_copy_bytes(to, row + first * channels, s->kernel_width * channels);
      to += s->kernel_width * channels;
      continue;
    }
    for (uint32_t kx = 0; kx < s->kernel_width; kx++) {
      const uint32_t ix = hilda_window_column(window, ox, kx);
      if (row && ix < s->in_width) hilda_copy_bytes(to, row + ix * window->pixel_stride, channels);
      else __builtin_memset(to, zero, channels);
      to += channels;
    }
  }
}

int hilda_is_pointwise(const hilda_window_shape *shape) {
  /* A 1x1 kernel that never leaves the image (strided pointwise). */
  return shape->kernel_height * shape->kernel_width == 1 && shape->pad_top == 0 && shape->pad_left == 0 &&
         (shape->out_height - 1u) * shape->stride_height < shape->in_height &&
         (shape->out_width - 1u) * shape->stride_width < shape->in_width;
}

int hilda_convolution_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_window_shape *shape = &record->shape.window;
  const hilda_window window = hilda_window_of(call);
  const uint32_t k = (uint32_t)shape->kernel_height * shape->kernel_width * shape->in_channels;
  const int plain = record->layout == HILDA_LAYOUT_ROWS;
  const int pointwise = hilda_is_pointwise(shape);
  const hilda_linear linear = {
      .weights = call->weights,
      .bias = call->bias,
      .multipliers = call->multipliers,
      .k = k,
      .n = shape->out_channels,
      .quant = hilda_quant_of(record),
      .row_stride = record->out_stride,
      .column_stride = 1,
      .expanded = call->scratch,
  };
  int8_t *gathered = (int8_t *)call->scratch + hilda_expanded_bytes(record->layout, k, shape->out_width);
  const uint32_t gathered_stride = hilda_gathered_bytes(record->layout, k);
  const uint32_t block = plain ? 1u : HILDA_BLOCK_ROWS;
  int8_t *out = call->out;
  for (uint32_t oy = call->first_row; oy < call->end_row; oy++) {
    for (uint32_t ox = 0; ox < shape->out_width; ox += block) {
      const uint32_t pixels = shape->out_width - ox < block ? shape->out_width - ox : block;
      const int8_t *x[HILDA_BLOCK_ROWS];
      if (hilda_cancelled(call, pixels * k * shape->out_channels)) return HILDA_E_CANCELLED;
      for (uint32_t i = 0; i < pixels; i++) {
        if (pointwise) {
          x[i] = hilda_window_row(&window, oy, 0) + hilda_window_column(&window, ox + i, 0) * window.pixel_stride;
        } else {
          int8_t *to = gathered + i * gathered_stride;
          gather(&window, oy, ox + i, record->zero_in, to);
          x[i] = to;
        }
      }
      if (plain) hilda_linear_plain(&linear, x[0], out);
      else hilda_linear_block(&linear, x, pixels, out);
      out += pixels * record->out_stride;
    }
  }
  return HILDA_OK;
}
