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

/* b holds columns: rows of k contiguous values. */
static void dot(const uint32_t *a0, const uint32_t *a1, const int8_t *b, uint32_t k, int32_t sum[2]) {
  int32_t sum0 = sum[0], sum1 = sum[1];
  for (; k >= 4; k -= 4, b += 4, a0 += 2, a1 += 2) {
    const uint32_t word = hilda_load32(b);
    const uint32_t even = hilda_bytes_02(word), odd = hilda_bytes_13(word);
    sum0 = hilda_smlad(a0[0], even, sum0);
    sum1 = hilda_smlad(a1[0], even, sum1);
    sum0 = hilda_smlad(a0[1], odd, sum0);
    sum1 = hilda_smlad(a1[1], odd, sum1);
  }
  if (k) {
    const uint32_t word = hilda_load_tail(b, k);
    sum0 = hilda_smlad(a0[1], hilda_bytes_13(word), hilda_smlad(a0[0], hilda_bytes_02(word), sum0));
    sum1 = hilda_smlad(a1[1], hilda_bytes_13(word), hilda_smlad(a1[0], hilda_bytes_02(word), sum1));
  }
  sum[0] = sum0;
  sum[1] = sum1;
}

/* b is stored as [k][n]: four columns at a time, two rows of b packed into pairs. */
static void four_columns(const hilda_matmul *m, const uint32_t *a0, const uint32_t *a1, const int8_t *b, int32_t sum[8]) {
  const uint32_t pitch = m->b_column;
  for (uint32_t k = 0; k < m->k; k += 4, a0 += 2, a1 += 2) {
    for (uint32_t h = 0; h < 2; h++) {
      /* Inputs k + h and k + h + 2; beyond the end a is zero, so any readable row of b will do. */
      const uint32_t i = k + h < m->k ? k + h : m->k - 1u, j = k + h + 2 < m->k ? k + h + 2 : m->k - 1u;
      const uint32_t first = hilda_load32(b + i * pitch), second = hilda_load32(b + j * pitch);
      const uint32_t first02 = hilda_bytes_02(first), second02 = hilda_bytes_02(second);
      const uint32_t first13 = hilda_bytes_13(first), second13 = hilda_bytes_13(second);
      const uint32_t pairs[4] = {hilda_pack_low(first02, second02), hilda_pack_low(first13, second13),
                                 hilda_pack_high(first02, second02), hilda_pack_high(first13, second13)};
      for (uint32_t c = 0; c < 4; c++) {
        sum[c] = hilda_smlad(a0[h], pairs[c], sum[c]);
        sum[4 + c] = hilda_smlad(a1[h], pairs[c], sum[4 + c]);
      }
    }
  }
}

static int32_t one_column(const hilda_matmul *m, const int8_t *a, const int8_t *b, int32_t sum) {
  for (uint32_t i = 0; i < m->k; i++) sum += (a[i] - m->zero_a) * b[i * m->b_column];
  return sum;
}

void hilda_matmul_block(const hilda_matmul *m, const int8_t *const *a, uint32_t rows, int8_t *out) {
  const uint32_t words = (m->k + 3u) / 4u * 2u;
  uint32_t *a0 = m->scratch, *a1 = rows > 1 ? a0 + words : a0;
  const int32_t bias0 = -m->zero_b * expand(a[0], m->k, m->zero_a, a0);
  const int32_t bias1 = rows > 1 ? -m->zero_b * expand(a[1], m->k, m->zero_a, a1) : bias0;
  for (uint32_t j = 0; j < m->n;) {
    int32_t sum[8] = {bias0, bias0, bias0, bias0, bias1, bias1, bias1, bias1};
    uint32_t columns = 1;
    const int8_t *b = m->b + j * m->b_row;
    if (m->b_column == 1) {
      int32_t both[2] = {bias0, bias1};
      dot(a0, a1, b, m->k, both);
      sum[0] = both[0];
      sum[4] = both[1];
    } else if (m->n - j >= 4) {
      columns = 4;
      four_columns(m, a0, a1, b, sum);
    } else {
      sum[0] = one_column(m, a[0], b, bias0);
      if (rows > 1) sum[4] = one_column(m, a[1], b, bias1);
    }
    for (uint32_t c = 0; c < columns; c++, j++) {
      int8_t *to = out + j * m->column_stride;
      *to = hilda_requantise(sum[c], m->multiplier, &m->quant);
      if (rows > 1) to[m->row_stride] = hilda_requantise(sum[4 + c], m->multiplier, &m->quant);
    }
  }
}

#endif
