/* One pixel of a depthwise convolution without SIMD: two channels at a time share the tap pointers. */
#include "kernel.h"

#if !HILDA_HAS_DSP && !HILDA_HAS_MVE

void hilda_depthwise_pixel(const hilda_depthwise *depthwise, const int8_t *const *taps, int8_t *out) {
  const uint32_t count = depthwise->taps, pitch = depthwise->pitch;
  for (uint32_t c = 0; c < depthwise->channels; c++) {
    const int8_t *weights = depthwise->weights + c;
    int32_t sum = depthwise->bias[c];
    for (uint32_t tap = 0; tap < count; tap++, weights += pitch) sum += taps[tap][c] * *weights;
    out[c] = hilda_requantise(sum, depthwise->multipliers[c], &depthwise->quant);
  }
}

#endif
