/* What the assembler loops of LINEAR work on. Offsets are theirs too: keep the order. */
#ifndef HILDA_LINEAR_DSP_H
#define HILDA_LINEAR_DSP_H

#include <stdint.h>

/* |sum hi * x| stays below 2^23 up to this many groups of four inputs (ABI.md, "Weight layouts"). */
#define HILDA_PAIR_GROUPS 128u

typedef struct hilda_dsp_layer {
  const uint32_t *x;       /*  0: halfwords; with two rows, their words in turn */
  const uint32_t *weights; /*  4: moves on */
  uint32_t quads;          /*  8: of groups, after the chunks */
  uint32_t singles;        /* 12: groups after the quads */
  const int32_t *bias;     /* 16: moves on */
  const int32_t *multipliers; /* 20: moves on */
  int32_t zero_out;        /* 24 */
  uint32_t low4, high4;    /* 28, 32: the clamp in each byte */
  uint32_t shift;          /* 36 */
  int8_t *out0, *out1;     /* 40, 44: move on */
  uint32_t column;         /* 48 */
  uint32_t blocks;         /* 52: of four outputs, at least 1; counts down */
  uint32_t chunks;         /* 56: of HILDA_PAIR_GROUPS groups; at least 1 for the long loops */
  int32_t high[4];         /* 60: sums of the odd outputs over the chunks */
} hilda_dsp_layer;

/* Both rows, or one. The long ones are for more than HILDA_PAIR_GROUPS groups. */
void hilda_dsp_rows2(hilda_dsp_layer *layer);
void hilda_dsp_rows2_long(hilda_dsp_layer *layer);
void hilda_dsp_rows1(hilda_dsp_layer *layer);
void hilda_dsp_rows1_long(hilda_dsp_layer *layer);

#endif
