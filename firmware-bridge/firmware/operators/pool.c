/* AVERAGE_POOL and MAX_POOL over windows clipped to the image. */
#include "pool.h"

/* The taps inside the image along one axis, `step` apart from `start` on, all counted from the padding's edge. */
static void clip(uint32_t start, uint32_t pad, uint32_t size, uint32_t kernel, uint32_t step, uint32_t *from, uint32_t *to) {
  const uint32_t end = size + pad;
  uint32_t before = start < pad ? pad - start : 0, inside = start < end ? end - start : 0;
  if (step > 1) {
    before = (before + step - 1u) / step;
    inside = (inside + step - 1u) / step;
  }
  *to = inside < kernel ? inside : kernel;
  *from = before < *to ? before : *to;
}

static hilda_region inside(const hilda_window_shape *s, uint32_t oy, uint32_t ox) {
  hilda_region r;
  clip(oy * s->stride_height, s->pad_top, s->in_height, s->kernel_height, s->dilation_height, &r.top, &r.bottom);
  clip(ox * s->stride_width, s->pad_left, s->in_width, s->kernel_width, s->dilation_width, &r.left, &r.right);
  if (r.left == r.right) r.bottom = r.top;
  return r;
}

static int run(const hilda_call *call, int average) {
  const hilda_operator *record = call->record;
  const hilda_window_shape *shape = &record->shape.window;
  const hilda_window window = hilda_window_of(call);
  hilda_pool pool = {.window = &window, .average = average, .multiplier = shape->multiplier, .quant = hilda_quant_of(record)};
  int8_t *out = call->out;
  for (pool.oy = call->first_row; pool.oy < call->end_row; pool.oy++) {
    for (uint32_t ox = 0; ox < shape->out_width; ox++, out += record->out_stride) {
      const hilda_region r = inside(shape, pool.oy, ox);
      const uint32_t taps = (r.bottom - r.top) * (r.right - r.left);
      if (hilda_cancelled(call, taps * shape->in_channels)) return HILDA_E_CANCELLED;
      pool.region = r;
      pool.column = hilda_window_column(&window, ox, r.left);
      pool.zeros = (int32_t)taps * record->zero_in;
      if (record->flags & HILDA_EXCLUDE_PAD) pool.multiplier = taps ? call->multipliers[taps - 1u] : 0;
      for (uint32_t c = 0; c < shape->in_channels; c += 4) {
        const uint32_t left = shape->in_channels - c;
        hilda_pool_channels(&pool, c, left < 4 ? left : 4, out + c);
      }
    }
  }
  return HILDA_OK;
}

int hilda_average_pool_run(const hilda_call *call) { return run(call, 1); }

int hilda_max_pool_run(const hilda_call *call) { return run(call, 0); }
