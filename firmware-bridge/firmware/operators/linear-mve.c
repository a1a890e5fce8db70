/* LINEAR for cores with Helium, layout 3: two rows times four outputs, eight VMLADAVA for six loads. The eight sums take
 * all even registers (the instruction takes no other), so the loop counter cannot be LR. */
#include "kernel.h"

#if HILDA_HAS_MVE
#include "mve.h"

/* x: two rows; groups: full groups of 16 inputs; tail: inputs of the last, partial group; bias: four starting values;
 * sums: outputs 0..3 of row 0, then of row 1. */
typedef struct dot_arguments {
  const int8_t *x0, *x1, *weights;
  uint32_t groups, tail;
  const int32_t *bias;
} dot_arguments;
void hilda_mve_dot2(const dot_arguments *arguments, int32_t sums[8]);
/* One row: x1 is not read, sums are four. */
void hilda_mve_dot1(const dot_arguments *arguments, int32_t sums[4]);

__asm__(
    "  .syntax unified\n  .thumb\n  .section .text.hilda_mve_dot2,\"ax\",%progbits\n  .align 2\n"
    "  .global hilda_mve_dot2\n  .type hilda_mve_dot2, %function\n  .thumb_func\n"
    "  .macro hilda_group\n"
    "  vldrb.u8 q2, [r5], #16\n  vmladava.s8 r0, q0, q2\n  vmladava.s8 r8, q1, q2\n"
    "  vldrb.u8 q3, [r5], #16\n  vmladava.s8 r2, q0, q3\n  vmladava.s8 r10, q1, q3\n"
    "  vldrb.u8 q2, [r5], #16\n  vmladava.s8 r4, q0, q2\n  vmladava.s8 r12, q1, q2\n"
    "  vldrb.u8 q3, [r5], #16\n  vmladava.s8 r6, q0, q3\n  vmladava.s8 lr, q1, q3\n"
    "  .endm\n"
    "hilda_mve_dot2:\n"
    "  push {r1, r4-r11, lr}\n"
    "  ldr r11, [r0, #20]\n  ldr r9, [r0, #16]\n  ldr r7, [r0, #12]\n  ldr r5, [r0, #8]\n"
    "  ldrd r1, r3, [r0]\n"
    "  ldrd r0, r2, [r11]\n  ldrd r4, r6, [r11, #8]\n"
    "  mov r8, r0\n  mov r10, r2\n  mov r12, r4\n  mov lr, r6\n"
    "  cbz r7, 2f\n"
    "1:\n  vldrb.u8 q0, [r1], #16\n  vldrb.u8 q1, [r3], #16\n  hilda_group\n  subs r7, r7, #1\n  bne 1b\n"
    "2:\n  cmp r9, #0\n  beq 3f\n"
    "  vctp.8 r9\n  vpst\n  vldrbt.u8 q0, [r1]\n  vpst\n  vldrbt.u8 q1, [r3]\n  hilda_group\n"
    "3:\n  pop {r1}\n  stmia r1, {r0, r2, r4, r6, r8, r10, r12, lr}\n  pop {r4-r11, pc}\n"
    "  .size hilda_mve_dot2, . - hilda_mve_dot2\n"

    "  .section .text.hilda_mve_dot1,\"ax\",%progbits\n  .align 2\n"
    "  .global hilda_mve_dot1\n  .type hilda_mve_dot1, %function\n  .thumb_func\n"
    "  .macro hilda_one_row\n"
    "  vldrb.u8 q2, [r5], #16\n  vmladava.s8 r0, q0, q2\n  vldrb.u8 q3, [r5], #16\n  vmladava.s8 r2, q0, q3\n"
    "  vldrb.u8 q2, [r5], #16\n  vmladava.s8 r4, q0, q2\n  vldrb.u8 q3, [r5], #16\n  vmladava.s8 r6, q0, q3\n"
    "  .endm\n"
    "hilda_mve_dot1:\n"
    "  push {r1, r4-r9, lr}\n"
    "  ldr r9, [r0, #20]\n  ldr r8, [r0, #16]\n  ldr r7, [r0, #12]\n  ldr r5, [r0, #8]\n  ldr r3, [r0]\n"
    "  ldrd r0, r2, [r9]\n  ldrd r4, r6, [r9, #8]\n"
    "  wls lr, r7, 2f\n"
    "1:\n  vldrb.u8 q0, [r3], #16\n  hilda_one_row\n  le lr, 1b\n"
    "2:\n  cmp r8, #0\n  beq 3f\n"
    "  vctp.8 r8\n  vpst\n  vldrbt.u8 q0, [r3]\n  hilda_one_row\n"
    "3:\n  pop {r1}\n  stmia r1, {r0, r2, r4, r6}\n  pop {r4-r9, pc}\n"
    "  .size hilda_mve_dot1, . - hilda_mve_dot1\n  .text\n");

void hilda_linear_wide(const hilda_linear *linear, const int8_t *x, int8_t *out) {
  dot_arguments arguments = {x, x, linear->weights, linear->k / 16u, linear->k % 16u, linear->bias};
  const uint32_t block_bytes = 4u * hilda_round_up(linear->k, 16);
  for (uint32_t j = 0; j < linear->n; j += 4) {
    const uint32_t outputs = linear->n - j < 4 ? linear->n - j : 4u;
    int32_t sums[4];
    hilda_mve_dot1(&arguments, sums);
    for (uint32_t i = 0; i < outputs; i++, out += 2)
      hilda_store16(out, hilda_scale(sums[i], linear->multipliers[j + i], &linear->quant));
    arguments.weights += block_bytes;
    arguments.bias += 4;
  }
}

void hilda_linear_block(const hilda_linear *linear, const int8_t *const *x, uint32_t rows, int8_t *out) {
  const hilda_vector_quant quant = hilda_vector_quant_of(&linear->quant);
  dot_arguments arguments = {x[0],           rows > 1 ? x[1] : x[0], linear->weights, linear->k / 16u,
                             linear->k % 16u, linear->bias};
  const int32_t *multipliers = linear->multipliers;
  const uint32_t column = linear->column_stride, block_bytes = 4u * hilda_round_up(linear->k, 16);
  int8_t *out1 = out + linear->row_stride;
  for (uint32_t left = linear->n;; left -= 4) {
    int32_t sums[8];
    const int32x4_t m = vldrwq_s32(multipliers);
    if (rows > 1) {
      hilda_mve_dot2(&arguments, sums);
      hilda_store4(out1, hilda_requantise4(vldrwq_s32(sums + 4), m, &quant), column, left);
    } else {
      hilda_mve_dot1(&arguments, sums);
    }
    hilda_store4(out, hilda_requantise4(vldrwq_s32(sums), m, &quant), column, left);
    if (left <= 4) break;
    arguments.weights += block_bytes;
    arguments.bias += 4;
    multipliers += 4;
    out += 4 * column;
    out1 += 4 * column;
  }
}

#endif
