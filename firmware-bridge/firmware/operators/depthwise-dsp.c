/* One pixel of a depthwise convolution with 16-bit SIMD: four channels at a time, one SMLAxy a MAC, no packing. */
#include "dsp.h"
#include "kernel.h"

#if HILDA_HAS_DSP && !HILDA_HAS_MVE

static void four_channels(const hilda_depthwise *d, const int8_t *const *taps, uint32_t c, int32_t sum[4]) {
  const int8_t *weights = d->weights + c;
  int32_t sum0 = d->bias[c], sum1 = d->bias[c + 1], sum2 = d->bias[c + 2], sum3 = d->bias[c + 3];
  const int8_t *const *end = taps + d->taps;
  do {
    const uint32_t x = hilda_load32(*taps++ + c), w = hilda_load32(weights);
    weights += d->pitch;
    const uint32_t x02 = hilda_bytes_02(x), w02 = hilda_bytes_02(w);
    sum0 = hilda_smlabb(x02, w02, sum0);
    sum2 = hilda_smlatt(x02, w02, sum2);
    const uint32_t x13 = hilda_bytes_13(x), w13 = hilda_bytes_13(w);
    sum1 = hilda_smlabb(x13, w13, sum1);
    sum3 = hilda_smlatt(x13, w13, sum3);
  } while (taps != end);
  sum[0] = sum0;
  sum[1] = sum1;
  sum[2] = sum2;
  sum[3] = sum3;
}

void hilda_depthwise_pixel(const hilda_depthwise *d, const int8_t *const *taps, int8_t *out) {
  uint32_t c = 0;
  for (; c + 4 <= d->channels; c += 4) {
    int32_t sum[4];
    four_channels(d, taps, c, sum);
    for (uint32_t j = 0; j < 4; j++) out[c + j] = hilda_requantise(sum[j], d->multipliers[c + j], &d->quant);
  }
  for (; c < d->channels; c++) {
    int32_t sum = d->bias[c];
    for (uint32_t tap = 0; tap < d->taps; tap++) sum += taps[tap][c] * d->weights[tap * d->pitch + c];
    out[c] = hilda_requantise(sum, d->multipliers[c], &d->quant);
  }
}

#endif
