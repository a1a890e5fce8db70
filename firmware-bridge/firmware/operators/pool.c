/* AVERAGE_POOL and MAX_POOL over windows clipped to the image, a few channels at a time so that sums stay in registers. */
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

enum { LANES = 4 };

/* Both: value[] over the taps of LANES channels from `channel`, or over fewer at the end (`lanes`). */
static void sum_taps(const hilda_window *window, uint32_t oy, uint32_t column, region r, uint32_t channel, uint32_t lanes,
                     int32_t value[LANES]) {
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  /* Lanes that are missing read the last channel again. */
  const uint32_t at1 = lanes > 1 ? 1 : lanes - 1u, at2 = lanes > 2 ? 2 : lanes - 1u, at3 = lanes > 3 ? 3 : lanes - 1u;
  for (uint32_t ky = r.top; ky < r.bottom; ky++) {
    const int8_t *x = hilda_window_row(window, oy, ky) + column * window->pixel_stride + channel;
    for (uint32_t kx = r.left; kx < r.right; kx++, x += window->pixel_stride) {
      sum0 += x[0];
      sum1 += x[at1];
      sum2 += x[at2];
      sum3 += x[at3];
    }
  }
  value[0] = sum0;
  value[1] = sum1;
  value[2] = sum2;
  value[3] = sum3;
}

HILDA_INLINE int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static void maximum_taps(const hilda_window *window, uint32_t oy, uint32_t column, region r, uint32_t channel,
                         uint32_t lanes, int32_t value[LANES]) {
  int32_t max0 = -128, max1 = -128, max2 = -128, max3 = -128;
  const uint32_t at1 = lanes > 1 ? 1 : lanes - 1u, at2 = lanes > 2 ? 2 : lanes - 1u, at3 = lanes > 3 ? 3 : lanes - 1u;
  for (uint32_t ky = r.top; ky < r.bottom; ky++) {
    const int8_t *x = hilda_window_row(window, oy, ky) + column * window->pixel_stride + channel;
    for (uint32_t kx = r.left; kx < r.right; kx++, x += window->pixel_stride) {
      max0 = larger(max0, x[0]);
      max1 = larger(max1, x[at1]);
      max2 = larger(max2, x[at2]);
      max3 = larger(max3, x[at3]);
    }
  }
  value[0] = max0;
  value[1] = max1;
  value[2] = max2;
  value[3] = max3;
}

static int run(const hilda_call *call, int average) {
  const hilda_operator *record = call->record;
  const hilda_window_shape *shape = &record->shape.window;
  const hilda_window window = hilda_window_of(call);
  const hilda_quant quant = hilda_quant_of(record);
  int8_t *out = call->out;
  for (uint32_t oy = call->first_row; oy < call->end_row; oy++) {
    for (uint32_t ox = 0; ox < shape->out_width; ox++, out += record->out_stride) {
      const region r = inside(&window, oy, ox);
      const uint32_t taps = (r.bottom - r.top) * (r.right - r.left);
      const uint32_t column = hilda_window_column(&window, ox, r.left);
      if (hilda_cancelled(call, taps * shape->in_channels)) return HILDA_E_CANCELLED;
      int32_t multiplier = shape->multiplier;
      if (record->flags & HILDA_EXCLUDE_PAD) multiplier = taps ? call->multipliers[taps - 1u] : 0;
      const int32_t zeros = (int32_t)taps * record->zero_in;
      for (uint32_t c = 0; c < shape->in_channels; c += LANES) {
        const uint32_t left = shape->in_channels - c, lanes = left < LANES ? left : LANES;
        int32_t value[LANES];
        (average ? sum_taps : maximum_taps)(&window, oy, column, taps ? r : (region){0, 0, 0, 0}, c, lanes, value);
        if (average)
          for (uint32_t j = 0; j < LANES; j++) value[j] = hilda_scale(value[j] - zeros, multiplier, &quant);
        if (lanes == LANES) hilda_store_clamped4(out + c, value[0], value[1], value[2], value[3], quant.low, quant.high);
        else
          for (uint32_t j = 0; j < lanes; j++) out[c + j] = (int8_t)hilda_clamp(value[j], quant.low, quant.high);
      }
    }
  }
  return HILDA_OK;
}

int hilda_average_pool_run(const hilda_call *call) { return run(call, 1); }

int hilda_max_pool_run(const hilda_call *call) { return run(call, 0); }
