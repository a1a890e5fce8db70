/* The bounds of one operator: every operand in every iteration, its constants, its scratch, its work. */
#include "../operators/kernel.h"
#include "check.h"

static uint64_t space_bytes(const hilda_header *header, uint32_t space) {
  if (space == HILDA_SPACE_ARENA) return header->arena_bytes;
  return space == HILDA_SPACE_PROGRAM ? header->constants_bytes : header->pool_bytes;
}

int hilda_check_span(const hilda_checker *checker, uint32_t reference, int64_t low, uint64_t bytes) {
  const int64_t start = (int64_t)(reference & HILDA_OFFSET_MASK) + low;
  const uint64_t size = space_bytes(checker->header, reference >> HILDA_SPACE_SHIFT);
  return start < 0 || (uint64_t)start > size || bytes > size - (uint64_t)start ? HILDA_E_BOUNDS : HILDA_OK;
}

static uint32_t rows_in(const hilda_pass *pass, uint32_t rows, uint32_t iteration) {
  return pass->partial && iteration == pass->short_index && pass->partial < rows ? pass->partial : rows;
}

/* An activation: rows of `width` bytes, `stride` apart, moved by `step` each iteration. Positions are linear in the
 * iteration but for one short iteration at an end, so the two at either end hold the extremes. */
static int check_rows(const hilda_checker *checker, const hilda_pass *pass, uint32_t reference, int32_t step,
                      uint32_t rows, uint32_t stride, uint64_t width) {
  const uint32_t last = pass->iterations - 1u;
  const uint32_t ends[4] = {0, last ? 1u : 0u, last ? last - 1u : 0u, last};
  for (uint32_t i = 0; i < 4; i++) {
    const uint64_t bytes = (uint64_t)(rows_in(pass, rows, ends[i]) - 1u) * stride + width;
    const int error = hilda_check_span(checker, reference, (int64_t)step * ends[i], bytes);
    if (error) return error;
  }
  return HILDA_OK;
}

static int check_output(const hilda_checker *checker, const hilda_pass *pass, const hilda_operator *record, uint32_t rows,
                        uint32_t stride, uint64_t width) {
  hilda_pass writes = *pass;
  if (record->flags & HILDA_RING_OUT) {
    writes.iterations = pass->ring_rows;
    writes.partial = 0;
  }
  return check_rows(checker, &writes, record->out, record->out_step, rows, stride, width);
}

static int add_work(hilda_checker *checker, const hilda_pass *pass, uint64_t rows, uint64_t row_work) {
  /* Each factor is compared before it is multiplied: no product can wrap. */
  if (row_work >= HILDA_MAX_WORK / rows) return HILDA_E_WORK;
  const uint64_t once = rows * (row_work + 1u);
  if (once > HILDA_MAX_WORK / pass->iterations) return HILDA_E_WORK;
  checker->work += once * pass->iterations;
  return checker->work > HILDA_MAX_WORK ? HILDA_E_WORK : HILDA_OK;
}

static int check_layout(uint32_t layout, uint64_t k, uint64_t n) {
  if (layout != HILDA_LAYOUT_ROWS && layout != HILDA_NATIVE_LAYOUT) return HILDA_E_LAYOUT;
  if (k == 0 || n == 0) return HILDA_E_SHAPE;
  return k > HILDA_MAX_WIDTH || n > HILDA_MAX_WIDTH ? HILDA_E_LIMIT : HILDA_OK;
}

static int check_matrix(const hilda_checker *checker, const hilda_operator *record, uint64_t k, uint64_t n, uint32_t rows,
                        int gathers) {
  const uint32_t layout = record->layout;
  const int error = check_layout(layout, k, n);
  if (error) return error;
  const uint64_t n4 = hilda_round_up((uint32_t)n, 4), bytes = hilda_packed_bytes(layout, (uint32_t)n, (uint32_t)k);
  uint64_t scratch = hilda_expanded_bytes(layout, (uint32_t)k, rows);
  /* The last gathered row ends with its values. */
  if (gathers) scratch += (uint64_t)hilda_gathered_bytes(layout, (uint32_t)k) * (hilda_block_rows(layout, rows) - 1u) + k;
  if (scratch && record->scratch == HILDA_NONE) return HILDA_E_SPACE;
  if (scratch && hilda_check_span(checker, record->scratch, 0, scratch)) return HILDA_E_BOUNDS;
  return hilda_check_span(checker, record->weights, 0, bytes) || hilda_check_span(checker, record->bias, 0, 4 * n4) ||
                 hilda_check_span(checker, record->multipliers, 0, 4 * n4)
             ? HILDA_E_BOUNDS
             : HILDA_OK;
}

static int check_window(hilda_checker *checker, const hilda_operator *record, const hilda_pass *in_group) {
  /* The short iteration of a LOOP shortens operators on rows only. */
  hilda_pass whole = *in_group;
  whole.partial = 0;
  const hilda_pass *pass = &whole;
  const hilda_window_shape *s = &record->shape.window;
  const uint64_t taps = (uint64_t)s->kernel_height * s->kernel_width;
  const uint32_t in_rows = record->count ? record->count : s->in_height;
  const uint32_t out_rows = pass->row_wise ? 1u : s->out_height;
  const int convolution = record->code == HILDA_CONV2D;
  if (!s->in_height || !s->in_width || !s->in_channels || !s->out_height || !s->out_width || !s->out_channels || !taps ||
      !s->stride_height || !s->stride_width || !s->dilation_height || !s->dilation_width)
    return HILDA_E_SHAPE;
  if (record->in_stride < s->in_channels || record->out_stride < s->out_channels) return HILDA_E_SHAPE;
  if (!convolution && s->in_channels != s->out_channels) return HILDA_E_SHAPE;
  if (record->count && (!pass->row_wise || record->in_step)) return HILDA_E_GROUP;
  int error = check_rows(checker, pass, record->in, record->in_step, in_rows * s->in_width, record->in_stride, s->in_channels);
  if (!error)
    error = check_output(checker, pass, record, out_rows * s->out_width, record->out_stride, s->out_channels);
  if (error) return error;
  if (convolution) {
    error = check_matrix(checker, record, taps * s->in_channels, s->out_channels, s->out_width, !hilda_is_pointwise(s));
  } else if (record->code == HILDA_DEPTHWISE) {
    const uint32_t c16 = hilda_round_up(s->in_channels, 16);
    if (taps > HILDA_MAX_TAPS) return HILDA_E_LIMIT;
    if (hilda_check_span(checker, record->weights, 0, taps * hilda_round_up(s->in_channels, 4)) ||
        hilda_check_span(checker, record->bias, 0, 4ull * c16) ||
        hilda_check_span(checker, record->multipliers, 0, 4ull * c16) ||
        hilda_check_span(checker, record->scratch, 0, s->in_channels))
      error = HILDA_E_BOUNDS;
  } else {
    const int excludes = (record->flags & HILDA_EXCLUDE_PAD) != 0;
    if (excludes != (record->multipliers != HILDA_NONE)) return HILDA_E_SPACE;
    if (excludes) error = hilda_check_span(checker, record->multipliers, 0, 4 * taps);
  }
  if (error) return error;
  const uint64_t per_pixel = convolution ? taps * s->in_channels * s->out_channels : taps * s->in_channels;
  return add_work(checker, pass, (uint64_t)out_rows * s->out_width, per_pixel);
}

static int check_transpose(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_transpose_shape *s = &record->shape.transpose;
  uint64_t extent = 1, elements = 1;
  for (uint32_t i = 0; i < 4; i++) {
    if (s->size[i] == 0) return HILDA_E_SHAPE;
    if (s->size[i] > HILDA_MAX_WIDTH) return HILDA_E_LIMIT;
    elements *= s->size[i]; /* at most (2^16)^4 - small: no wrap */
    extent += (uint64_t)(s->size[i] - 1u) * s->stride[i];
  }
  if (elements > HILDA_OFFSET_MASK) return HILDA_E_BOUNDS;
  const int error = check_rows(checker, pass, record->in, record->in_step, 1, 0, extent);
  if (error) return error;
  const int written = check_rows(checker, pass, record->out, record->out_step, 1, 0, elements);
  return written ? written : add_work(checker, pass, 1, elements);
}

static int check_fetch(const hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_rows_shape *s = &record->shape.rows;
  const int64_t last = (int64_t)s->offset + (int64_t)record->in_step * (pass->iterations - 1u);
  if (s->rows != 1) return HILDA_E_SHAPE;
  if (s->offset < 0 || last < 0 || (uint64_t)s->offset + s->n > checker->header->input_bytes ||
      (uint64_t)last + s->n > checker->header->input_bytes)
    return HILDA_E_BOUNDS;
  return HILDA_OK;
}

/* Any seed and any block number have their weights: only where they go must be right. */
static int check_generate(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_rows_shape *s = &record->shape.rows;
  const int unfit = check_layout(record->layout, s->k, s->n);
  if (unfit) return unfit;
  if (s->rows != 1) return HILDA_E_SHAPE;
  if ((record->out & 3u) || (record->out_step & 3)) return HILDA_E_ALIGNMENT;
  const int error = check_output(checker, pass, record, 1, 0, hilda_packed_bytes(record->layout, s->n, s->k));
  return error ? error : add_work(checker, pass, 1, (uint64_t)s->n * s->k);
}

/* The elements of one step: 16-bit gates in, an 8-bit output and, out_stride behind it, a 32-bit state. */
static int check_cell(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_rows_shape *s = &record->shape.rows;
  const int lstm = record->code == HILDA_LSTM_CELL;
  if (s->rows != 1 || s->n == 0 || record->out_stride < s->n) return HILDA_E_SHAPE;
  if (!lstm && s->k != 2 && s->k != 4) return HILDA_E_SHAPE;
  if (s->n > HILDA_MAX_WIDTH || s->offset < 0 || s->offset > 1023) return HILDA_E_LIMIT;
  const uint64_t gates = lstm ? 4 : s->k, bytes = (lstm && s->multiplier1 ? 5ull : 4ull) * s->n;
  const uint32_t curves = lstm ? 5u : s->k == 4 ? 4u : 3u;
  if (hilda_check_span(checker, record->weights, 0, curves * 2u * HILDA_CURVE_ENTRIES)) return HILDA_E_BOUNDS;
  int error = check_rows(checker, pass, record->in, record->in_step, 1, 0, 2 * gates * s->n);
  if (!error) error = check_output(checker, pass, record, 1, 0, record->out_stride + bytes);
  return error ? error : add_work(checker, pass, 1, 16ull * s->n);
}

/* Indices of four bytes each, at any address; rows of a constant table. */
static int check_gather(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_rows_shape *s = &record->shape.rows;
  if (s->rows == 0 || s->n == 0 || s->k == 0) return HILDA_E_SHAPE;
  if (s->rows > HILDA_MAX_ROWS || s->k > HILDA_MAX_TABLE_ROWS || s->n > HILDA_MAX_COPY_WIDTH) return HILDA_E_LIMIT;
  if (s->rows > 1 && record->out_stride < s->n) return HILDA_E_SHAPE;
  if (hilda_check_span(checker, record->weights, 0, (uint64_t)s->k * s->n)) return HILDA_E_BOUNDS;
  int error = check_rows(checker, pass, record->in, record->in_step, s->rows, record->in_stride, 4);
  if (!error) error = check_output(checker, pass, record, s->rows, record->out_stride, s->n);
  return error ? error : add_work(checker, pass, s->rows, s->n);
}

/* The operands beside in and out of the operators that work on rows. */
static int check_others(const hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_rows_shape *s = &record->shape.rows;
  switch (record->code) {
    case HILDA_LINEAR:
      return check_matrix(checker, record, s->k, s->n, s->rows, 0);
    case HILDA_MATMUL: {
      const uint32_t row = record->in1_stride, column = s->in1_column_stride;
      if (s->k == 0) return HILDA_E_SHAPE;
      if (s->k > HILDA_MAX_WIDTH) return HILDA_E_LIMIT;
      if (!(column == 1 && row >= s->k) && !(row == 1 && column >= s->n)) return HILDA_E_SHAPE;
      const uint32_t scratch = hilda_matmul_scratch(s->k, s->rows);
      if (scratch && record->scratch == HILDA_NONE) return HILDA_E_SPACE;
      if (scratch && hilda_check_span(checker, record->scratch, 0, scratch)) return HILDA_E_BOUNDS;
      const uint64_t bytes = (uint64_t)(s->n - 1u) * row + (uint64_t)(s->k - 1u) * column + 1u;
      return check_rows(checker, pass, record->in1, record->in1_step, 1, 0, bytes);
    }
    case HILDA_SOFTMAX:
      return hilda_check_span(checker, record->weights, 0, 512);
    case HILDA_TABLE:
      return hilda_check_span(checker, record->weights, 0, 256);
    case HILDA_LAYER_NORM:
      if (s->n > HILDA_MAX_NORM_WIDTH) return HILDA_E_LIMIT;
      return hilda_check_span(checker, record->bias, 0, 4ull * s->n) ||
                     hilda_check_span(checker, record->multipliers, 0, 4ull * s->n)
                 ? HILDA_E_BOUNDS
                 : HILDA_OK;
    case HILDA_ADD:
    case HILDA_MULTIPLY:
      return check_rows(checker, pass, record->in1, record->in1_step, s->rows, record->in1_stride, s->n);
    case HILDA_FETCH:
      return check_fetch(checker, record, pass);
    default:
      return HILDA_OK;
  }
}

static int check_row_operator(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  const hilda_rows_shape *s = &record->shape.rows;
  const int matrix = record->code == HILDA_LINEAR || record->code == HILDA_MATMUL;
  const int moves = record->code == HILDA_COPY || record->code == HILDA_FILL || record->code == HILDA_FETCH;
  if (s->rows == 0 || s->n == 0) return HILDA_E_SHAPE;
  if (s->rows > HILDA_MAX_ROWS || s->n > (moves ? HILDA_MAX_COPY_WIDTH : HILDA_MAX_WIDTH)) return HILDA_E_LIMIT;
  /* Outputs never share bytes: either rows of n, or (transposed) columns of rows. */
  const int wide = (record->flags & HILDA_WIDE) != 0;
  uint64_t width = record->code == HILDA_ARG_MAX ? 4u : wide ? 2ull * s->n : s->n;
  if (wide && matrix && s->out_column_stride != 1) return HILDA_E_SHAPE;
  if (matrix && s->out_column_stride != 1) {
    if (record->out_stride != 1 || s->out_column_stride < s->rows) return HILDA_E_SHAPE;
    width = (uint64_t)(s->n - 1u) * s->out_column_stride + 1u;
  } else if (s->rows > 1 && record->out_stride < width) {
    return HILDA_E_SHAPE;
  }
  int error = check_others(checker, record, pass);
  if (!error && record->in != HILDA_NONE)
    error = check_rows(checker, pass, record->in, record->in_step, s->rows, record->in_stride, matrix ? s->k : s->n);
  if (!error) error = check_output(checker, pass, record, s->rows, record->out_stride, width);
  return error ? error : add_work(checker, pass, s->rows, (uint64_t)s->n * (matrix ? s->k : 1u));
}

int hilda_check_operator(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass) {
  if (record->code == HILDA_LOOP || record->code == HILDA_WINDOW) return HILDA_E_GROUP;
  const int error = hilda_check_fields(record, pass);
  if (error) return error;
  switch (hilda_rules[record->code].kind) {
    case SHAPE_WINDOW:
      return check_window(checker, record, pass);
    case SHAPE_TRANSPOSE:
      return check_transpose(checker, record, pass);
    default:
      if (record->code == HILDA_GENERATE) return check_generate(checker, record, pass);
      if (record->code == HILDA_LSTM_CELL || record->code == HILDA_GRU_CELL) return check_cell(checker, record, pass);
      if (record->code == HILDA_GATHER) return check_gather(checker, record, pass);
      return check_row_operator(checker, record, pass);
  }
}
