/* One pixel of a depthwise convolution without SIMD. On ARMv6-M four channels are taken from words where all taps are
 * aligned; else two channels at a time share the tap pointers. */
#include "kernel.h"

#if !HILDA_HAS_DSP && !HILDA_HAS_MVE

#if defined(__ARM_ARCH_6M__)
typedef struct four_channels {
  uint32_t pitch, taps, channel;
} four_channels;
/* 30 cycles for four MACs. `weights` is that of the first tap and the channel; sums are in the order of the channels. */
void hilda_scalar_depthwise(const int8_t *const *taps, const int8_t *weights, const four_channels *which, int32_t sums[4]);
__asm__(
    "  .syntax unified\n  .thumb\n  .section .text.hilda_scalar_depthwise,\"ax\",%progbits\n  .align 2\n"
    "  .global hilda_scalar_depthwise\n  .type hilda_scalar_depthwise, %function\n  .thumb_func\n"
    "hilda_scalar_depthwise:\n"
    "  push {r3-r7, lr}\n"
    "  mov r4, r8\n  mov r5, r9\n  mov r6, r10\n  mov r7, r11\n  push {r4-r7}\n"
    "  ldr r7, [r2, #8]\n  ldr r6, [r2, #4]\n  ldr r2, [r2]\n  mov r12, r2\n"
    "  movs r4, #0\n  mov r8, r4\n  mov r9, r4\n  mov r10, r4\n  mov r11, r4\n"
    "1:\n  ldmia r0!, {r2}\n  ldr r2, [r2, r7]\n  ldr r3, [r1]\n  add r1, r12\n"
    "  sxtb r4, r2\n  sxtb r5, r3\n  muls r4, r5, r4\n  add r8, r4\n"
    "  lsls r4, r2, #16\n  asrs r4, r4, #24\n  lsls r5, r3, #16\n  asrs r5, r5, #24\n  muls r4, r5, r4\n  add r9, r4\n"
    "  lsls r4, r2, #8\n  asrs r4, r4, #24\n  lsls r5, r3, #8\n  asrs r5, r5, #24\n  muls r4, r5, r4\n  add r10, r4\n"
    "  asrs r2, r2, #24\n  asrs r3, r3, #24\n  muls r2, r3, r2\n  add r11, r2\n"
    "  subs r6, r6, #1\n  bne 1b\n"
    "  mov r0, r8\n  mov r1, r9\n  mov r2, r10\n  mov r3, r11\n"
    "  pop {r4-r7}\n  mov r8, r4\n  mov r9, r5\n  mov r10, r6\n  mov r11, r7\n"
    "  pop {r4}\n  stmia r4!, {r0-r3}\n  pop {r4-r7, pc}\n"
    "  .size hilda_scalar_depthwise, . - hilda_scalar_depthwise\n  .text\n");

/* Returns how many channels it has done. */
static uint32_t by_words(const hilda_depthwise *depthwise, const int8_t *const *taps, int8_t *out) {
  if (!depthwise->aligned) return 0;
  const hilda_quant quant = depthwise->quant;
  four_channels which = {depthwise->pitch, depthwise->taps, 0};
  for (; which.channel + 4 <= depthwise->channels; which.channel += 4) {
    const int32_t *bias = depthwise->bias + which.channel, *multipliers = depthwise->multipliers + which.channel;
    int32_t sums[4];
    hilda_scalar_depthwise(taps, depthwise->weights + which.channel, &which, sums);
    hilda_store_clamped4(out + which.channel, hilda_scale(bias[0] + sums[0], multipliers[0], &quant),
                         hilda_scale(bias[1] + sums[1], multipliers[1], &quant),
                         hilda_scale(bias[2] + sums[2], multipliers[2], &quant),
                         hilda_scale(bias[3] + sums[3], multipliers[3], &quant), quant.low, quant.high);
  }
  return which.channel;
}
#else
static uint32_t by_words(const hilda_depthwise *depthwise, const int8_t *const *taps, int8_t *out) {
  (void)depthwise, (void)taps, (void)out;
  return 0;
}
#endif

void hilda_depthwise_pixel(const hilda_depthwise *depthwise, const int8_t *const *taps, int8_t *out) {
  const hilda_quant quant = depthwise->quant;
  const uint32_t pitch = depthwise->pitch;
  const int8_t *const *end = taps + depthwise->taps;
  for (uint32_t c = by_words(depthwise, taps, out); c < depthwise->channels; c += 2) {
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
