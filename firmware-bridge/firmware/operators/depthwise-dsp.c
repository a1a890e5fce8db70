/* One pixel of a depthwise convolution with 16-bit SIMD: four channels at a time, one SMLAxy a MAC, no packing of x. */
#include "dsp.h"
#include "kernel.h"

#if HILDA_HAS_DSP && !HILDA_HAS_MVE

/* Offsets are the assembler's: keep the order. */
typedef struct dsp_depthwise {
  const int8_t *const *taps;  /*  0 */
  const int8_t *weights;      /*  4 */
  uint32_t pitch;             /*  8 */
  uint32_t count;             /* 12: of taps */
  const int32_t *bias;        /* 16 */
  const int32_t *multipliers; /* 20 */
  int32_t zero_out;           /* 24 */
  uint32_t low4, high4;       /* 28, 32 */
  uint32_t shift;             /* 36 */
  int8_t *out;                /* 40 */
  uint32_t channels;          /* 44: a multiple of four, not 0 */
} dsp_depthwise;
void hilda_dsp_depthwise(const dsp_depthwise *pixel);

__asm__(
    "  .syntax unified\n  .thumb\n  .section .text.hilda_dsp_depthwise, \"ax\", %progbits\n  .align 2\n"
    "  .global hilda_dsp_depthwise\n  .type hilda_dsp_depthwise, %function\n  .thumb_func\n"
    /* r0 taps, r1 weights, r2 pitch, r3 channel, r4-r7 sums, r12 pixel. */
    "  .macro hilda_tap\n"
    "  ldr r8, [r0], #4\n  ldr r9, [r1]\n  add r1, r1, r2\n  ldr r8, [r8, r3]\n"
    "  sxtb16 r11, r9\n  sxtb16 r10, r8\n  sxtb16 r9, r9, ror #8\n  sxtb16 r8, r8, ror #8\n"
    "  smlabb r4, r10, r11, r4\n  smlatt r6, r10, r11, r6\n  smlabb r5, r8, r9, r5\n  smlatt r7, r8, r9, r7\n"
    "  .endm\n"
    "hilda_dsp_depthwise:\n"
    "  push {r4-r11, lr}\n  mov r12, r0\n  ldr r2, [r12, #8]\n  movs r3, #0\n"
    "1:\n  ldrd lr, r8, [r12, #12]\n  add r8, r8, r3, lsl #2\n  ldm r8, {r4, r5, r6, r7}\n"
    "  ldrd r0, r1, [r12]\n  add r1, r1, r3\n"
    "  cmp lr, #9\n  beq 3f\n"
    "2:\n  hilda_tap\n  subs lr, lr, #1\n  bne 2b\n  b 4f\n"
    /* 3x3, by far the most frequent, without a counter. */
    "3:\n  hilda_tap\n  hilda_tap\n  hilda_tap\n  hilda_tap\n  hilda_tap\n  hilda_tap\n  hilda_tap\n  hilda_tap\n"
    "  hilda_tap\n"
    "4:\n  ldr lr, [r12, #36]\n  cmp lr, #0\n  beq 5f\n"
    "  lsls r4, r4, lr\n  lsls r5, r5, lr\n  lsls r6, r6, lr\n  lsls r7, r7, lr\n"
    "5:\n  ldrd r0, lr, [r12, #20]\n  add r0, r0, r3, lsl #2\n  ldm r0, {r8, r9, r10, r11}\n"
    "  smmlar r4, r4, r8, lr\n  smmlar r5, r5, r9, lr\n  smmlar r6, r6, r10, lr\n  smmlar r7, r7, r11, lr\n"
    "  ssat r4, #8, r4\n  ssat r5, #8, r5\n  ssat r6, #8, r6\n  ssat r7, #8, r7\n"
    "  ldrd r10, r11, [r12, #28]\n"
    "  pkhbt r4, r4, r6, lsl #16\n  pkhbt r5, r5, r7, lsl #16\n"
    "  uxtb16 r4, r4\n  uxtb16 r5, r5\n  orr r4, r4, r5, lsl #8\n"
    "  ssub8 lr, r4, r10\n  sel r4, r4, r10\n  ssub8 lr, r11, r4\n  sel r4, r4, r11\n"
    "  ldrd r0, r1, [r12, #40]\n  str r4, [r0, r3]\n  adds r3, r3, #4\n  cmp r3, r1\n  bne 1b\n"
    "  pop {r4-r11, pc}\n"
    "  .size hilda_dsp_depthwise, . - hilda_dsp_depthwise\n  .text\n");

void hilda_depthwise_pixel(const hilda_depthwise *d, const int8_t *const *taps, int8_t *out) {
  const uint32_t whole = d->channels & ~3u;
  if (whole) {
    const dsp_depthwise pixel = {
        .taps = taps,
        .weights = d->weights,
        .pitch = d->pitch,
        .count = d->taps,
        .bias = d->bias,
        .multipliers = d->multipliers,
        .zero_out = d->quant.zero_out,
        .low4 = (uint8_t)d->quant.low * 0x01010101u,
        .high4 = (uint8_t)d->quant.high * 0x01010101u,
        .shift = d->quant.shift,
        .out = out,
        .channels = whole,
    };
    hilda_dsp_depthwise(&pixel);
  }
  for (uint32_t c = whole; c < d->channels; c++) {
    int32_t sum = d->bias[c];
    for (uint32_t tap = 0; tap < d->taps; tap++) sum += taps[tap][c] * d->weights[tap * d->pitch + c];
    out[c] = hilda_requantise(sum, d->multipliers[c], &d->quant);
  }
}

#endif
