/* LINEAR for cores with 16-bit SIMD, layout 2: two rows times four outputs, two weights an extension (ABI.md, "Weight
 * layouts"). The inner loops (linear-dsp-loops.c) requantise too; what does not fit them is done here, in the same order. */
#include "dsp.h"
#include "kernel.h"

#if HILDA_HAS_DSP && !HILDA_HAS_MVE
#include "linear-dsp.h"

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

/* One of the last outputs of a layer, which fill no block of four. `apart`: from one word of the row to the next. */
static int32_t dot(const uint32_t *x, uint32_t apart, const uint32_t *weights, uint32_t groups, uint32_t lane) {
  int32_t sum = 0;
  weights += lane / 2u;
  for (uint32_t half = 0; half < 2 * groups; half++, x += apart, weights += 2) {
    const uint32_t low = hilda_bytes_02(*weights);
    sum += lane & 1u ? (hilda_smlad(*weights, *x, 0) - hilda_smlad(low, *x, 0)) >> 8 : hilda_smlad(low, *x, 0);
  }
  return sum;
}

static void remaining(const hilda_linear *linear, uint32_t from, const uint32_t *x, uint32_t apart, int8_t *out) {
  const uint32_t groups = (linear->k + 3u) / 4u;
  for (uint32_t j = from; j < linear->n; j++) {
    const uint32_t *weights = (const uint32_t *)linear->weights + (j / 4u) * 4u * groups;
    const int32_t sum = linear->bias[j] + dot(x, apart, weights, groups, j & 3u);
    out[j * linear->column_stride] = hilda_requantise(sum, linear->multipliers[j], &linear->quant);
  }
}

void hilda_linear_wide(const hilda_linear *linear, const int8_t *x, int8_t *out) {
  const uint32_t groups = (linear->k + 3u) / 4u;
  uint32_t *expanded = linear->expanded;
  expand(x, linear->k, expanded, 1);
  for (uint32_t j = 0; j < linear->n; j++, out += 2) {
    const uint32_t *weights = (const uint32_t *)linear->weights + (j / 4u) * 4u * groups;
    const int32_t sum = linear->bias[j] + dot(expanded, 1, weights, groups, j & 3u);
    hilda_store16(out, hilda_scale(sum, linear->multipliers[j], &linear->quant));
  }
}

void hilda_linear_block(const hilda_linear *linear, const int8_t *const *x, uint32_t rows, int8_t *out) {
  const hilda_quant *q = &linear->quant;
  const uint32_t groups = (linear->k + 3u) / 4u;
  uint32_t *expanded = linear->expanded;
  hilda_dsp_layer layer = {
      .x = expanded,
      .weights = linear->weights,
      .quads = groups / 4u,
      .singles = groups % 4u,
      .bias = linear->bias,
      .multipliers = linear->multipliers,
      .zero_out = q->zero_out,
      .low4 = (uint8_t)q->low * 0x01010101u,
      .high4 = (uint8_t)q->high * 0x01010101u,
      .shift = q->shift,
      .out0 = out,
      .out1 = out + linear->row_stride,
      .column = linear->column_stride,
      .blocks = linear->n / 4u,
  };
  expand(x[0], linear->k, expanded, rows);
  if (rows == 2) expand(x[1], linear->k, expanded + 1, 2);
  const uint32_t done = 4u * layer.blocks;
  if (groups > HILDA_PAIR_GROUPS) {
    layer.chunks = groups / HILDA_PAIR_GROUPS;
    layer.quads = groups % HILDA_PAIR_GROUPS / 4u;
    if (layer.blocks && rows == 2) hilda_dsp_rows2_long(&layer);
    else if (layer.blocks) hilda_dsp_rows1_long(&layer);
  } else if (layer.blocks && rows == 2) {
    hilda_dsp_rows2(&layer);
  } else if (layer.blocks) {
    hilda_dsp_rows1(&layer);
  }
  if (done == linear->n) return;
  remaining(linear, done, expanded, rows, out);
  if (rows == 2) remaining(linear, done, expanded + 1, 2, out + linear->row_stride);
}

#endif
