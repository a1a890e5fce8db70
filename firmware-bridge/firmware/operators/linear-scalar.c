/* LINEAR for cores without SIMD, layout 1: one row times four outputs, two weights an extension (ABI.md, "Weight layouts"). */
#include "kernel.h"

#if !HILDA_HAS_DSP && !HILDA_HAS_MVE

/* |sum hi * x| stays below 2^23 up to this many inputs. */
#define PAIR_INPUTS 512u

/* sums: lo and pair sums of outputs (0, 1), then of outputs (2, 3), over k (a multiple of 4) inputs. */
#if defined(__ARM_ARCH_6M__)
/* 64 cycles for 16 MACs: the sums live in high registers, which ADD reaches and MULS does not. */
void hilda_scalar_dot(const int16_t *x, const uint32_t *weights, uint32_t k, int32_t sums[4]);
__asm__(
    "  .syntax unified\n  .thumb\n  .section .text.hilda_scalar_dot,\"ax\",%progbits\n  .align 2\n"
    "  .global hilda_scalar_dot\n  .type hilda_scalar_dot, %function\n  .thumb_func\n"
    "  .macro hilda_mac4 word\n" /* r4: x; r5: temporary */
    "  sxtb r5, \\word\n  muls r5, r4, r5\n  add r8, r5\n"
    "  sxth r5, \\word\n  muls r5, r4, r5\n  add r9, r5\n"
    "  asrs \\word, \\word, #16\n"
    "  sxtb r5, \\word\n  muls r5, r4, r5\n  add r10, r5\n"
    "  muls \\word, r4, \\word\n  add r11, \\word\n"
    "  .endm\n"
    "hilda_scalar_dot:\n"
    "  push {r3-r7, lr}\n"
    "  mov r4, r8\n  mov r5, r9\n  mov r6, r10\n  mov r7, r11\n  push {r4-r7}\n"
    "  lsls r2, r2, #1\n  adds r2, r0, r2\n  mov r12, r2\n"
    "  movs r4, #0\n  mov r8, r4\n  mov r9, r4\n  mov r10, r4\n  mov r11, r4\n"
    "1:\n  ldmia r0!, {r2, r6}\n  ldmia r1!, {r3, r7}\n"
    "  sxth r4, r2\n  hilda_mac4 r3\n  asrs r4, r2, #16\n  hilda_mac4 r7\n"
    "  ldmia r1!, {r3, r7}\n"
    "  sxth r4, r6\n  hilda_mac4 r3\n  asrs r4, r6, #16\n  hilda_mac4 r7\n"
    "  cmp r0, r12\n  bne 1b\n"
    "  mov r0, r8\n  mov r1, r9\n  mov r2, r10\n  mov r3, r11\n"
    "  pop {r4-r7}\n  mov r8, r4\n  mov r9, r5\n  mov r10, r6\n  mov r11, r7\n"
    "  pop {r4}\n  stmia r4!, {r0-r3}\n  pop {r4-r7, pc}\n"
    "  .size hilda_scalar_dot, . - hilda_scalar_dot\n  .text\n");
#else
static void hilda_scalar_dot(const int16_t *x, const uint32_t *weights, uint32_t k, int32_t sums[4]) {
  int32_t low0 = 0, pair0 = 0, low1 = 0, pair1 = 0;
  for (uint32_t i = 0; i < k; i++) {
    const int32_t value = x[i], word = (int32_t)weights[i];
    low0 += (int8_t)word * value;
    pair0 += (int16_t)word * value;
    low1 += (int8_t)(word >> 16) * value;
    pair1 += (word >> 16) * value;
  }
  sums[0] = low0;
  sums[1] = pair0;
  sums[2] = low1;
  sums[3] = pair1;
}
#endif

/* Sums over more inputs than the pair trick allows at a time. */
static void long_dot(const int16_t *x, const uint32_t *weights, uint32_t k, int32_t total[4]) {
  total[0] = total[1] = total[2] = total[3] = 0;
  for (uint32_t at = 0; at < k; at += PAIR_INPUTS) {
    const uint32_t inputs = k - at < PAIR_INPUTS ? k - at : PAIR_INPUTS;
    int32_t sums[4];
    hilda_scalar_dot(x + at, weights + at, inputs, sums);
    total[0] += sums[0];
    total[1] += (sums[1] - sums[0]) >> 8;
    total[2] += sums[2];
    total[3] += (sums[3] - sums[2]) >> 8;
  }
}

static void expand(const int8_t *x, uint32_t k, int16_t *to) {
#pragma GCC unroll 4
  for (uint32_t i = 0; i < k; i++) to[i] = x[i];
  for (; k & 3u; k++) to[k] = 0;
}

void hilda_linear_wide(const hilda_linear *linear, const int8_t *x, int8_t *out) {
  const uint32_t k4 = hilda_round_up(linear->k, 4);
  const uint32_t *weights = linear->weights;
  expand(x, linear->k, linear->expanded);
  for (uint32_t j = 0; j < linear->n; j += 4, weights += k4) {
    const uint32_t outputs = linear->n - j < 4 ? linear->n - j : 4u;
    int32_t sums[4];
    long_dot(linear->expanded, weights, k4, sums);
    for (uint32_t i = 0; i < outputs; i++, out += 2)
      hilda_store16(out, hilda_scale(linear->bias[j + i] + sums[i], linear->multipliers[j + i], &linear->quant));
  }
}

void hilda_linear_block(const hilda_linear *linear, const int8_t *const *x, uint32_t rows, int8_t *out) {
  (void)rows;
  const uint32_t k4 = hilda_round_up(linear->k, 4), column = linear->column_stride;
  const hilda_quant quant = linear->quant;
  int16_t *expanded = linear->expanded;
  expand(x[0], linear->k, expanded);
  const uint32_t *weights = linear->weights;
  const int32_t *bias = linear->bias, *multipliers = linear->multipliers;
  for (uint32_t left = linear->n;; left -= 4, bias += 4, multipliers += 4, weights += k4) {
    int32_t sums[4];
    if (k4 <= PAIR_INPUTS) {
      hilda_scalar_dot(expanded, weights, k4, sums);
      sums[1] = (sums[1] - sums[0]) >> 8;
      sums[3] = (sums[3] - sums[2]) >> 8;
    } else {
      long_dot(expanded, weights, k4, sums);
    }
    if (left < 4) {
      for (uint32_t j = 0; j < left; j++, out += column)
        *out = hilda_requantise(bias[j] + sums[j], multipliers[j], &quant);
      return;
    }
    out[0] = hilda_requantise(bias[0] + sums[0], multipliers[0], &quant);
    out += column;
    out[0] = hilda_requantise(bias[1] + sums[1], multipliers[1], &quant);
    out += column;
    out[0] = hilda_requantise(bias[2] + sums[2], multipliers[2], &quant);
    out += column;
    out[0] = hilda_requantise(bias[3] + sums[3], multipliers[3], &quant);
    out += column;
    if (left == 4) return;
  }
}

#endif
