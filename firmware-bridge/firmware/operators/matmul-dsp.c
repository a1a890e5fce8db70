/* A block of rows of a product of two activations with 16-bit SIMD. The rows of a are held as halfwords less their zero
 * point, in the order (0, 2), (1, 3) of each group of four that extending the bytes of b gives. */
#include "dsp.h"
#include "kernel.h"

#if HILDA_HAS_DSP && !HILDA_HAS_MVE

/* Returns the sum of the row. */
static int32_t expand(const int8_t *a, uint32_t k, int32_t zero, uint32_t *to) {
  const uint32_t zeros = hilda_pack_low((uint32_t)zero, (uint32_t)zero);
  const uint32_t ones = 0x00010001u;
  int32_t sum = 0;
  for (; k >= 4; k -= 4, a += 4, to += 2) {
    const uint32_t word = hilda_load32(a);
    to[0] = hilda_subtract_halves(hilda_bytes_02(word), zeros);
    to[1] = hilda_subtract_halves(hilda_bytes_13(word), zeros);
    sum = hilda_smlad(to[1], ones, hilda_smlad(to[0], ones, sum));
  }
  if (k) {
    /* Missing inputs count as the zero point. */
    int16_t *half = (int16_t *)to;
    half[0] = (int16_t)(a[0] - zero);
    half[2] = (int16_t)(k > 1 ? a[1] - zero : 0);
    half[1] = (int16_t)(k > 2 ? a[2] - zero : 0);
    half[3] = 0;
    sum += half[0] + half[1] + half[2];
  }
  return sum;
}

/* Two columns of b, each k contiguous values, times two rows of a. */
static void two_columns(const uint32_t *a0, const uint32_t *a1, const int8_t *b0, const int8_t *b1, uint32_t k,
                        int32_t sum[4]) {
  int32_t sum00 = sum[0], sum01 = sum[1], sum10 = sum[2], sum11 = sum[3];
#define GROUP(word0, word1)                              \
  do {                                                   \
    const uint32_t first = word0, second = word1;        \
    uint32_t even = hilda_bytes_02(first), x0 = a0[0], x1 = a1[0]; \
    sum00 = hilda_smlad(x0, even, sum00);                \
    sum10 = hilda_smlad(x1, even, sum10);                \
    even = hilda_bytes_02(second);                       \
    sum01 = hilda_smlad(x0, even, sum01);                \
    sum11 = hilda_smlad(x1, even, sum11);                \
    uint32_t odd = hilda_bytes_13(first);                \
    x0 = a0[1];                                          \
    x1 = a1[1];                                          \
    sum00 = hilda_smlad(x0, odd, sum00);                 \
    sum10 = hilda_smlad(x1, odd, sum10);                 \
    odd = hilda_bytes_13(second);                        \
    sum01 = hilda_smlad(x0, odd, sum01);                 \
    sum11 = hilda_smlad(x1, odd, sum11);                 \
  } while (0)
  const int8_t *end = b0 + (k & ~3u);
  for (; b0 != end; b0 += 4, b1 += 4, a0 += 2, a1 += 2) GROUP(hilda_load32(b0), hilda_load32(b1));
  if (k & 3u) GROUP(hilda_load_tail(b0, k & 3u), hilda_load_tail(b1, k & 3u));
#undef GROUP
  sum[0] = sum00;
  sum[1] = sum01;
  sum[2] = sum10;
  sum[3] = sum11;
}

/* b is stored as [k][n]: two rows of it, packed into pairs, times one row of a: four columns. */
HILDA_INLINE void pack_columns(uint32_t first, uint32_t second, uint32_t pairs[4]) {
  const uint32_t first02 = hilda_bytes_02(first), second02 = hilda_bytes_02(second);
  const uint32_t first13 = hilda_bytes_13(first), second13 = hilda_bytes_13(second);
  pairs[0] = hilda_pack_low(first02, second02);
  pairs[1] = hilda_pack_low(first13, second13);
  pairs[2] = hilda_pack_high(first02, second02);
  pairs[3] = hilda_pack_high(first13, second13);
}

/* Adds inputs whose rows of b are `first` and `second`. */
HILDA_INLINE void add_pairs(int32_t sum[8], uint32_t x0, uint32_t x1, const int8_t *first, const int8_t *second) {
  uint32_t pairs[4];
  pack_columns(hilda_load32(first), hilda_load32(second), pairs);
  sum[0] = hilda_smlad(x0, pairs[0], sum[0]);
  sum[1] = hilda_smlad(x0, pairs[1], sum[1]);
  sum[2] = hilda_smlad(x0, pairs[2], sum[2]);
  sum[3] = hilda_smlad(x0, pairs[3], sum[3]);
  sum[4] = hilda_smlad(x1, pairs[0], sum[4]);
  sum[5] = hilda_smlad(x1, pairs[1], sum[5]);
  sum[6] = hilda_smlad(x1, pairs[2], sum[6]);
  sum[7] = hilda_smlad(x1, pairs[3], sum[7]);
}

static void four_columns(const hilda_matmul *m, const uint32_t *a0, const uint32_t *a1, const int8_t *b, int32_t total[8]) {
  const uint32_t pitch = m->b_column, left = m->k & 3u;
  const uint32_t *end = a0 + m->k / 4u * 2u;
  int32_t sum[8] = {total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]};
  for (; a0 != end; a0 += 2, a1 += 2, b += 4 * pitch) {
    add_pairs(sum, a0[0], a1[0], b, b + 2 * pitch);
    add_pairs(sum, a0[1], a1[1], b + pitch, b + 3 * pitch);
  }
  /* Beyond the end a is zero, so any row of b will do. */
  if (left) add_pairs(sum, a0[0], a1[0], b, left > 2 ? b + 2 * pitch : b);
  if (left > 1) add_pairs(sum, a0[1], a1[1], b + pitch, b);
  for (uint32_t i = 0; i < 8; i++) total[i] = sum[i];
}

static int32_t one_column(const hilda_matmul *m, const int8_t *a, const int8_t *b, int32_t sum) {
  for (uint32_t i = 0; i < m->k; i++) sum += (a[i] - m->zero_a) * b[i * m->b_column];
  return sum;
}

typedef struct block {
  const int8_t *const *a;
  const uint32_t *a0, *a1; /* the rows as halfwords */
  int32_t bias0, bias1;
  uint32_t rows;
} block;

/* b is stored as [n][k]. */
static void by_rows_of_b(const hilda_matmul *m, const block *rows, int8_t *out) {
  const hilda_quant quant = m->quant;
  const uint32_t column = m->column_stride;
  const int8_t *b = m->b;
  for (uint32_t left = m->n;; left -= 2, b += 2 * m->b_row) {
    int32_t sum[4] = {rows->bias0, rows->bias0, rows->bias1, rows->bias1};
    two_columns(rows->a0, rows->a1, b, left > 1 ? b + m->b_row : b, m->k, sum);
    out[0] = hilda_requantise(sum[0], m->multiplier, &quant);
    if (rows->rows > 1) out[m->row_stride] = hilda_requantise(sum[2], m->multiplier, &quant);
    if (left == 1) return;
    out += column;
    out[0] = hilda_requantise(sum[1], m->multiplier, &quant);
    if (rows->rows > 1) out[m->row_stride] = hilda_requantise(sum[3], m->multiplier, &quant);
    if (left == 2) return;
    out += column;
  }
}

/* b is stored as [k][n]. */
static void by_columns_of_b(const hilda_matmul *m, const block *rows, int8_t *out) {
  const hilda_quant quant = m->quant;
  const int8_t *b = m->b;
  uint32_t left = m->n;
  for (; left >= 4; left -= 4, b += 4) {
    int32_t sum[8] = {rows->bias0, rows->bias0, rows->bias0, rows->bias0,
                      rows->bias1, rows->bias1, rows->bias1, rows->bias1};
    four_columns(m, rows->a0, rows->a1, b, sum);
    for (uint32_t c = 0; c < 4; c++, out += m->column_stride) {
      out[0] = hilda_requantise(sum[c], m->multiplier, &quant);
      if (rows->rows > 1) out[m->row_stride] = hilda_requantise(sum[4 + c], m->multiplier, &quant);
    }
  }
  for (; left > 0; left--, b++, out += m->column_stride) {
    out[0] = hilda_requantise(one_column(m, rows->a[0], b, rows->bias0), m->multiplier, &quant);
    if (rows->rows > 1)
      out[m->row_stride] = hilda_requantise(one_column(m, rows->a[1], b, rows->bias1), m->multiplier, &quant);
  }
}

void hilda_matmul_block(const hilda_matmul *m, const int8_t *const *a, uint32_t rows, int8_t *out) {
  uint32_t *a0 = m->scratch, *a1 = rows > 1 ? a0 + (m->k + 3u) / 4u * 2u : a0;
  const int32_t bias0 = -m->zero_b * expand(a[0], m->k, m->zero_a, a0);
  const int32_t bias1 = rows > 1 ? -m->zero_b * expand(a[1], m->k, m->zero_a, a1) : bias0;
  const block of = {a, a0, a1, bias0, bias1, rows};
  if (m->b_column == 1) by_rows_of_b(m, &of, out);
  else by_columns_of_b(m, &of, out);
}

#endif
