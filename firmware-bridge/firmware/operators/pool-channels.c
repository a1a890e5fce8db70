/* Four channels of a window at a time, so that their sums stay in registers. */
#include "pool.h"

#if HILDA_HAS_MVE
#include "mve.h"

void hilda_pool_channels(const hilda_pool *pool, uint32_t channel, uint32_t lanes, int8_t *out) {
  const hilda_region r = pool->region;
  const uint32_t stride = pool->window->pixel_stride, step = stride * pool->window->shape->dilation_width;
  const mve_pred16_t live = vctp32q(lanes);
  int32x4_t value = vdupq_n_s32(pool->average ? -pool->zeros : -128);
  for (uint32_t ky = r.top; ky < r.bottom; ky++) {
    const int8_t *x = hilda_window_row(pool->window, pool->oy, ky) + pool->column * stride + channel;
    if (pool->average)
      for (uint32_t kx = r.left; kx < r.right; kx++, x += step) value = vaddq_s32(value, vldrbq_z_s32(x, live));
    else
      for (uint32_t kx = r.left; kx < r.right; kx++, x += step) value = vmaxq_s32(value, vldrbq_z_s32(x, live));
  }
  const hilda_vector_quant quant = hilda_vector_quant_of(&pool->quant);
  if (pool->average) value = hilda_requantise4(value, vdupq_n_s32(pool->multiplier), &quant);
  else value = vminq_s32(vmaxq_s32(value, quant.low), quant.high);
  vstrbq_p_s32(out, value, live);
}

#else

HILDA_INLINE int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

void hilda_pool_channels(const hilda_pool *pool, uint32_t channel, uint32_t lanes, int8_t *out) {
  const hilda_region r = pool->region;
  const hilda_quant quant = pool->quant;
  const uint32_t stride = pool->window->pixel_stride, step = stride * pool->window->shape->dilation_width;
  const int32_t start = pool->average ? -pool->zeros : -128;
  int32_t value0 = start, value1 = start, value2 = start, value3 = start;
  /* Lanes that are missing read the last channel again. */
  const uint32_t at1 = lanes > 1 ? 1 : lanes - 1u, at2 = lanes > 2 ? 2 : lanes - 1u, at3 = lanes > 3 ? 3 : lanes - 1u;
  for (uint32_t ky = r.top; ky < r.bottom; ky++) {
    const int8_t *x = hilda_window_row(pool->window, pool->oy, ky) + pool->column * stride + channel;
    if (pool->average) {
      for (uint32_t kx = r.left; kx < r.right; kx++, x += step) {
        value0 += x[0];
        value1 += x[at1];
        value2 += x[at2];
        value3 += x[at3];
      }
    } else {
      for (uint32_t kx = r.left; kx < r.right; kx++, x += step) {
        value0 = larger(value0, x[0]);
        value1 = larger(value1, x[at1]);
        value2 = larger(value2, x[at2]);
        value3 = larger(value3, x[at3]);
      }
    }
  }
  if (pool->average) {
    value0 = hilda_scale(value0, pool->multiplier, &quant);
    value1 = hilda_scale(value1, pool->multiplier, &quant);
    value2 = hilda_scale(value2, pool->multiplier, &quant);
    value3 = hilda_scale(value3, pool->multiplier, &quant);
  }
  if (lanes == 4) {
    hilda_store_clamped4(out, value0, value1, value2, value3, quant.low, quant.high);
    return;
  }
  const int32_t values[3] = {value0, value1, value2};
  for (uint32_t j = 0; j < lanes; j++) out[j] = (int8_t)hilda_clamp(values[j], quant.low, quant.high);
}

#endif
