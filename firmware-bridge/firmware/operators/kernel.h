/* The small interface behind which each core class hides its kernels: scalar (M0+, M3, host), DSP (M4, M7), MVE (M55). */
#ifndef HILDA_KERNEL_H
#define HILDA_KERNEL_H

#include "call.h"

#if HILDA_HAS_MVE
#define HILDA_NATIVE_LAYOUT HILDA_LAYOUT_MVE
#define HILDA_BLOCK_ROWS 2u
#elif HILDA_HAS_DSP
#define HILDA_NATIVE_LAYOUT HILDA_LAYOUT_DSP
#define HILDA_BLOCK_ROWS 2u
#else
#define HILDA_NATIVE_LAYOUT HILDA_LAYOUT_SCALAR
#define HILDA_BLOCK_ROWS 1u
#endif

/* A matrix of weights with its requantisation: out[j] = requant(bias[j] + sum_i x[i] * w[j][i], multipliers[j]). */
typedef struct hilda_linear {
  const void *weights;
  const int32_t *bias, *multipliers;
  uint32_t k, n;
  hilda_quant quant;
  uint32_t row_stride, column_stride; /* of the output */
  void *expanded;                     /* scratch for the rows as 16-bit pairs; unused by MVE */
} hilda_linear;

/* One block: `rows` (1..HILDA_BLOCK_ROWS) input rows of k values each, native layout. */
void hilda_linear_block(const hilda_linear *linear, const int8_t *const *x, uint32_t rows, int8_t *out);
/* The same for one row and layout 0, on every core. */
void hilda_linear_plain(const hilda_linear *linear, const int8_t *x, int8_t *out);
/* One row to 16-bit outputs, native layout; n of them, one behind the other. */
void hilda_linear_wide(const hilda_linear *linear, const int8_t *x, int8_t *out);

/* Bytes of n x k weights in a layout (ABI.md, "Weight layouts"); k and n up to HILDA_MAX_WIDTH. */
HILDA_INLINE uint64_t hilda_packed_bytes(uint32_t layout, uint32_t n, uint32_t k) {
  if (layout == HILDA_LAYOUT_ROWS) return (uint64_t)n * k;
  return (uint64_t)hilda_round_up(n, 4) * hilda_round_up(k, layout == HILDA_LAYOUT_MVE ? 16 : 4);
}

/* Scratch of LINEAR and CONV2D (ABI.md, "Scratch bytes"): what the rows of a block take as pairs, how far two gathered rows
 * lie apart. `rows`: those of the largest block (hilda_block_rows). */
uint32_t hilda_block_rows(uint32_t layout, uint32_t rows);
uint32_t hilda_expanded_bytes(uint32_t layout, uint32_t k, uint32_t rows);
uint32_t hilda_gathered_bytes(uint32_t layout, uint32_t k);
/* Whether every pixel of a CONV2D is one pixel of its input, which is then read in place. */
int hilda_is_pointwise(const hilda_window_shape *shape);
/* Scratch of MATMUL on this core. */
uint32_t hilda_matmul_scratch(uint32_t k, uint32_t rows);

/* One output pixel of a depthwise convolution; taps point to `channels` values each. */
typedef struct hilda_depthwise {
  const int8_t *weights; /* [taps][pitch] */
  const int32_t *bias, *multipliers;
  uint32_t taps, channels, pitch;
  int aligned; /* all taps start at words */
  hilda_quant quant;
} hilda_depthwise;
void hilda_depthwise_pixel(const hilda_depthwise *depthwise, const int8_t *const *taps, int8_t *out);

/* One block of rows of a product of two activations. */
typedef struct hilda_matmul {
  const int8_t *b;
  uint32_t k, n;
  uint32_t b_row, b_column; /* element (i, j) of [k][n] at j * b_row + i * b_column */
  int32_t zero_a, zero_b, multiplier;
  hilda_quant quant;
  uint32_t row_stride, column_stride;
  void *scratch;
} hilda_matmul;
void hilda_matmul_block(const hilda_matmul *matmul, const int8_t *const *a, uint32_t rows, int8_t *out);

#endif
