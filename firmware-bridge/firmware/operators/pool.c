/* AVERAGE_POOL and MAX_POOL over windows clipped to the image. */
#include "call.h"
#include "window.h"

/* The part of a window inside the image: tap rows [top, bottom), tap columns [left, right); empty where there is none. */
typedef struct region {
  uint32_t top, bottom, left, right;
} region;

static void clip(uint32_t start, uint32_t pad, uint32_t size, uint32_t kernel, uint32_t *from, uint32_t *to) {
  *from = start < pad ? pad - start : 0;
  *to = start + kernel > size + pad ? (start < size + pad ? size + pad - start : 0) : kernel;
  if (*from > *to) *from = *to;
}

static region inside(const hilda_window *window, uint32_t oy, uint32_t ox) {
  const hilda_window_shape *s = window->shape;
  region r;
  clip(oy * s->stride_height, s->pad_top, s->in_height, s->kernel_height, &r.top, &r.bottom);
  clip(ox * s->stride_width, s->pad_left, s->in_width, s->kernel_width, &r.left, &r.right);
  return r;
}

static int32_t sum_of(const hilda_window *window, uint32_t oy, uint32_t ox, region r, uint32_t channel) {
  int32_t sum = 0;
  for (uint32_t ky = r.top; ky < r.bottom; ky++) {
    const int8_t *x = hilda_window_row(window, oy, ky) + hilda_window_column(window, ox, r.left) * window->pixel_stride;
    for (uint32_t kx = r.left; kx < r.right; kx++, x += window->pixel_stride) sum += x[channel];
  }
  return sum;
}

static int32_t maximum_of(const hilda_window *window, uint32_t oy, uint32_t ox, region r, uint32_t channel) {
  int32_t maximum = -128;
  for (uint32_t ky = r.top; ky < r.bottom; ky++) {
    const int8_t *x = hilda_window_row(window, oy, ky) + hilda_window_column(window, ox, r.left) * window->pixel_stride;
    for (uint32_t kx = r.left; kx < r.right; kx++, x += window->pixel_stride)
      if (x[channel] > maximum) maximum = x[channel];
  }
  return maximum;
}

int hilda_average_pool_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_window_shape *shape = &record->shape.window;
  const hilda_window window = hilda_window_of(call);
  const hilda_quant quant = hilda_quant_of(record);
  int8_t *out = call->out;
  for (uint32_t oy = call->first_row; oy < call->end_row; oy++) {
    for (uint32_t ox = 0; ox < shape->out_width; ox++, out += record->out_stride) {
      const region r = inside(&window, oy, ox);
      const uint32_t taps = (r.bottom - r.top) * (r.right - r.left);
      if (hilda_cancelled(call, taps * shape->in_channels)) return HILDA_E_CANCELLED;
      int32_t multiplier = shape->multiplier;
      if (record->flags & HILDA_EXCLUDE_PAD) multiplier = taps ? call->multipliers[taps - 1u] : 0;
      for (uint32_t c = 0; c < shape->in_channels; c++) {
        const int32_t sum = taps ? sum_of(&window, oy, ox, r, c) : 0;
        out[c] = hilda_requantise(sum - (int32_t)taps * record->zero_in, multiplier, &quant);
      }
    }
  }
  return HILDA_OK;
}

int hilda_max_pool_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_window_shape *shape = &record->shape.window;
  const hilda_window window = hilda_window_of(call);
  int8_t *out = call->out;
  for (uint32_t oy = call->first_row; oy < call->end_row; oy++) {
    for (uint32_t ox = 0; ox < shape->out_width; ox++, out += record->out_stride) {
      const region r = inside(&window, oy, ox);
      const uint32_t taps = (r.bottom - r.top) * (r.right - r.left);
      if (hilda_cancelled(call, taps * shape->in_channels)) return HILDA_E_CANCELLED;
      for (uint32_t c = 0; c < shape->in_channels; c++)
        out[c] = (int8_t)hilda_clamp(maximum_of(&window, oy, ox, r, c), record->low, record->high);
    }
  }
  return HILDA_OK;
}
