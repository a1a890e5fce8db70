/* One pixel of a depthwise convolution without SIMD: two channels at a time share the tap pointers. */
#include "kernel.h"

#if !HILDA_HAS_DSP && !HILDA_HAS_MVE

void hilda_depthwise_pixel(const hilda_depthwise *depthwise, const int8_t *const *taps, int8_t *out) {
  const hilda_quant quant = depthwise->quant;
  const uint32_t pitch = depthwise->pitch;
  const int8_t *const *end = taps + depthwise->taps;
  for (uint32_t c = 0; c < depthwise->channels; c += 2) {
    const int8_t *weights = depthwise->weights + c;
    /* An odd channel at the end goes with the one before it: it would read beyond the tap. */
    const uint32_t next = c + 1 < depthwise->channels;
    int32_t sum0 = depthwise->bias[c], sum1 = depthwise->bias[c + 1];
    for (const int8_t *const *tap = taps; tap != end; tap++, weights += pitch) {
      const int8_t *x = *tap + c;
      sum0 += x[0] * weights[0];
      sum1 += x[next] * weights[1];
    }
    out[c] = hilda_requantise(sum0, depthwise->multipliers[c], &quant);
    if (next) out[c + 1] = hilda_requantise(sum1, depthwise->multipliers[c + 1], &quant);
  }
}

#endif
