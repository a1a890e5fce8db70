/* One pixel of a depthwise convolution with Helium: sixteen channels at a time. The widening product takes even and odd
 * lanes apart, twice; narrowing puts them together again the same way, so nothing is ever shuffled. */
#include "kernel.h"

#if HILDA_HAS_MVE
#include "mve.h"

void hilda_depthwise_pixel(const hilda_depthwise *d, const int8_t *const *taps, int8_t *out) {
  const int8x16_t low = vdupq_n_s8((int8_t)d->quant.low), high = vdupq_n_s8((int8_t)d->quant.high);
  const int16_t zero_out = (int16_t)d->quant.zero_out;
  const int32_t shift = (int32_t)d->quant.shift;
  for (uint32_t c = 0; c < d->channels; c += 16) {
    const mve_pred16_t live = vctp8q(d->channels - c);
    const int32x4x4_t bias = vld4q_s32(d->bias + c); /* val[i]: channels i, i + 4, i + 8, i + 12 */
    int32x4_t sum0 = bias.val[0], sum1 = bias.val[1], sum2 = bias.val[2], sum3 = bias.val[3];
    const int8_t *weights = d->weights + c;
    for (uint32_t tap = 0; tap < d->taps; tap++, weights += d->pitch) {
      const int8x16_t x = vldrbq_z_s8(taps[tap] + c, live), w = vldrbq_z_s8(weights, live);
      const int16x8_t even = vmullbq_int_s8(x, w), odd = vmulltq_int_s8(x, w);
      sum0 = vaddq_s32(sum0, vmovlbq_s16(even));
      sum2 = vaddq_s32(sum2, vmovltq_s16(even));
      sum1 = vaddq_s32(sum1, vmovlbq_s16(odd));
      sum3 = vaddq_s32(sum3, vmovltq_s16(odd));
    }
    const int32x4x4_t m = vld4q_s32(d->multipliers + c);
    sum0 = vrmulhq_s32(vshlq_r_s32(sum0, shift), m.val[0]);
    sum1 = vrmulhq_s32(vshlq_r_s32(sum1, shift), m.val[1]);
    sum2 = vrmulhq_s32(vshlq_r_s32(sum2, shift), m.val[2]);
    sum3 = vrmulhq_s32(vshlq_r_s32(sum3, shift), m.val[3]);
    /* Saturating narrowings lose nothing: what they cut lies beyond int8 even after the zero point is added. */
    int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vuninitializedq_s16(), sum0), sum2);
    int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vuninitializedq_s16(), sum1), sum3);
    even = vqaddq_n_s16(even, zero_out);
    odd = vqaddq_n_s16(odd, zero_out);
    const int8x16_t result = vqmovntq_s16(vqmovnbq_s16(vuninitializedq_s8(), even), odd);
    vstrbq_p_s8(out + c, vminq_s8(vmaxq_s8(result, low), high), live);
  }
}

#endif
