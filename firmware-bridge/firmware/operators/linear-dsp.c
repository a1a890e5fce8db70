/* LINEAR for cores with 16-bit SIMD, layout 2: two rows times four outputs, two weights an extension (ABI.md, "Weight
 * layouts"). The inner loop holds eight sums, two words of x and two of weights in all fourteen registers. */
#include "dsp.h"
#include "kernel.h"

#if HILDA_HAS_DSP && !HILDA_HAS_MVE

/* |sum hi * x| stays below 2^23 up to this many inputs. */
#define PAIR_INPUTS 512u

/* x: rows 0 and 1 interleaved by words; groups: of four inputs; sums: S1 of (outputs 0-1, row 0), (0-1, 1), (2-3, 0),
 * (2-3, 1), then S0 of the same. */
void hilda_dsp_dot2(const uint32_t *x, const uint32_t *weights, uint32_t groups, int32_t sums[8]);
/* x: one row; sums: S1 of outputs (0-1), (2-3), then S0. */
void hilda_dsp_dot1(const uint32_t *x, const uint32_t *weights, uint32_t groups, int32_t sums[4]);

__asm__(
    "  .syntax unified\n  .thumb\n  .section .text.hilda_dsp_dot2,\"ax\",%progbits\n  .align 2\n"
    "  .macro hilda_half\n"
    "  ldrd r10, r11, [r0], #8\n  ldrd r12, lr, [r1], #8\n"
    "  smlad r2, r12, r10, r2\n  smlad r3, r12, r11, r3\n  smlad r4, lr, r10, r4\n  smlad r5, lr, r11, r5\n"
    "  sxtb16 r12, r12\n  sxtb16 lr, lr\n"
    "  smlad r6, r12, r10, r6\n  smlad r7, r12, r11, r7\n  smlad r8, lr, r10, r8\n  smlad r9, lr, r11, r9\n"
    "  .endm\n"
    "  .global hilda_dsp_dot2\n  .type hilda_dsp_dot2, %function\n  .thumb_func\n"
    "hilda_dsp_dot2:\n"
    "  push {r3-r11, lr}\n"
    "  and r3, r2, #3\n  lsr r2, r2, #2\n  push {r2, r3}\n"
    "  movs r2, #0\n  movs r3, #0\n  movs r4, #0\n  movs r5, #0\n"
    "  movs r6, #0\n  movs r7, #0\n  mov r8, #0\n  mov r9, #0\n"
    "  ldr r12, [sp]\n  cmp r12, #0\n  beq 4f\n"
    "3:\n  hilda_half\n  hilda_half\n  hilda_half\n  hilda_half\n  hilda_half\n  hilda_half\n  hilda_half\n  hilda_half\n"
    "  ldr r12, [sp]\n  subs r12, r12, #1\n  str r12, [sp]\n  bne 3b\n"
    "4:\n  ldr r12, [sp, #4]\n  cmp r12, #0\n  beq 6f\n"
    "5:\n  hilda_half\n  hilda_half\n  ldr r12, [sp, #4]\n  subs r12, r12, #1\n  str r12, [sp, #4]\n  bne 5b\n"
    "6:\n  add sp, sp, #8\n  pop {r12}\n  stmia r12, {r2-r9}\n  pop {r4-r11, pc}\n"
    "  .size hilda_dsp_dot2, . - hilda_dsp_dot2\n"

    "  .section .text.hilda_dsp_dot1,\"ax\",%progbits\n  .align 2\n"
    "  .global hilda_dsp_dot1\n  .type hilda_dsp_dot1, %function\n  .thumb_func\n"
    "  .macro hilda_group\n"
    "  ldrd r10, r11, [r0], #8\n  ldmia r1!, {r6, r7, r8, r9}\n"
    "  smlad r2, r6, r10, r2\n  smlad r4, r7, r10, r4\n  smlad r2, r8, r11, r2\n  smlad r4, r9, r11, r4\n"
    "  sxtb16 r6, r6\n  sxtb16 r7, r7\n  sxtb16 r8, r8\n  sxtb16 r9, r9\n"
    "  smlad r5, r6, r10, r5\n  smlad lr, r7, r10, lr\n  smlad r5, r8, r11, r5\n  smlad lr, r9, r11, lr\n"
    "  .endm\n"
    "hilda_dsp_dot1:\n"
    "  push {r3-r11, lr}\n"
    "  and r3, r2, #3\n  lsr r12, r2, #2\n"
    "  movs r2, #0\n  movs r4, #0\n  movs r5, #0\n  mov lr, #0\n"
    "  cmp r12, #0\n  beq 2f\n"
    "1:\n  hilda_group\n  hilda_group\n  hilda_group\n  hilda_group\n  subs r12, r12, #1\n  bne 1b\n"
    "2:\n  cbz r3, 4f\n"
    "3:\n  hilda_group\n  subs r3, r3, #1\n  bne 3b\n"
    "4:\n  mov r6, lr\n  pop {r12}\n  stmia r12, {r2, r4, r5, r6}\n  pop {r4-r11, pc}\n"
    "  .size hilda_dsp_dot1, . - hilda_dsp_dot1\n"
    "  .text\n");

/* Bytes to halfwords in the order (0, 2), (1, 3) of each group; `apart` words from one word of this row to the next. */
HILDA_INLINE void expand(const int8_t *x, uint32_t k, uint32_t *to, uint32_t apart) {
  for (; k >= 4; k -= 4, x += 4, to += 2 * apart) {
    const uint32_t word = hilda_load32(x);
    to[0] = hilda_bytes_02(word);
    to[apart] = hilda_bytes_13(word);
  }
  if (k) {
    const uint32_t word = hilda_load_tail(x, k);
    to[0] = hilda_bytes_02(word);
    to[apart] = hilda_bytes_13(word);
  }
}

/* total[2p] += S0, total[2p + 1] += (S1 - S0) >> 8. */
HILDA_INLINE void add_pair(int32_t *total, int32_t pair, int32_t low) {
  total[0] += low;
  total[1] += (pair - low) >> 8;
}

HILDA_INLINE int8_t *store(const hilda_linear *linear, const int32_t *total, const int32_t *multipliers, uint32_t outputs,
                           int8_t *out) {
  for (uint32_t j = 0; j < outputs; j++) {
    *out = hilda_requantise(total[j], multipliers[j], &linear->quant);
    out += linear->column_stride;
  }
  return out;
}

static void one_row(const hilda_linear *linear, const int8_t *x, int8_t *out) {
  uint32_t *expanded = linear->expanded;
  const uint32_t groups = (linear->k + 3u) / 4u;
  expand(x, linear->k, expanded, 1);
  const uint32_t *weights = linear->weights;
  for (uint32_t j = 0; j < linear->n; j += 4) {
    const int32_t *bias = linear->bias + j;
    int32_t total[4] = {bias[0], bias[1], bias[2], bias[3]};
    for (uint32_t at = 0; at < groups; at += PAIR_INPUTS / 4) {
      const uint32_t some = groups - at < PAIR_INPUTS / 4 ? groups - at : PAIR_INPUTS / 4;
      int32_t sums[4];
      hilda_dsp_dot1(expanded + 2 * at, weights, some, sums);
      weights += 4 * some;
      add_pair(total, sums[0], sums[2]);
      add_pair(total + 2, sums[1], sums[3]);
    }
    const uint32_t left = linear->n - j;
    out = store(linear, total, linear->multipliers + j, left < 4 ? left : 4, out);
  }
}

void hilda_linear_block(const hilda_linear *linear, const int8_t *const *x, uint32_t rows, int8_t *out) {
  if (rows == 1) {
    one_row(linear, x[0], out);
    return;
  }
  uint32_t *expanded = linear->expanded;
  const uint32_t groups = (linear->k + 3u) / 4u;
  expand(x[0], linear->k, expanded, 2);
  expand(x[1], linear->k, expanded + 1, 2);
  const uint32_t *weights = linear->weights;
  int8_t *out1 = out + linear->row_stride;
  for (uint32_t j = 0; j < linear->n; j += 4) {
    const int32_t *bias = linear->bias + j;
    int32_t total[8] = {bias[0], bias[1], bias[2], bias[3], bias[0], bias[1], bias[2], bias[3]};
    for (uint32_t at = 0; at < groups; at += PAIR_INPUTS / 4) {
      const uint32_t some = groups - at < PAIR_INPUTS / 4 ? groups - at : PAIR_INPUTS / 4;
      int32_t sums[8];
      hilda_dsp_dot2(expanded + 4 * at, weights, some, sums);
      weights += 4 * some;
      add_pair(total, sums[0], sums[4]);
      add_pair(total + 2, sums[2], sums[6]);
      add_pair(total + 4, sums[1], sums[5]);
      add_pair(total + 6, sums[3], sums[7]);
    }
    const uint32_t left = linear->n - j, outputs = left < 4 ? left : 4;
    out = store(linear, total, linear->multipliers + j, outputs, out);
    out1 = store(linear, total + 4, linear->multipliers + j, outputs, out1);
  }
}

#endif
