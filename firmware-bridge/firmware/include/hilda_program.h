/* The program format, ABI 4: see firmware-bridge/ABI.md, which explains every field and formula. */
#ifndef HILDA_PROGRAM_H
#define HILDA_PROGRAM_H

#include <stdint.h>

#define HILDA_MAGIC 0x41444c48u /* "HLDA" */
#define HILDA_ABI 5u
#define HILDA_NONE 0xffffffffu

/* References: space in bits 31..30, byte offset below. */
#define HILDA_SPACE_ARENA 0u
#define HILDA_SPACE_PROGRAM 1u
#define HILDA_SPACE_POOL 2u
#define HILDA_SPACE_SHIFT 30
#define HILDA_OFFSET_MASK 0x3fffffffu

enum hilda_code {
  HILDA_LINEAR = 1,
  HILDA_CONV2D = 2,
  HILDA_DEPTHWISE = 3,
  HILDA_MATMUL = 4,
  HILDA_SOFTMAX = 5,
  HILDA_LAYER_NORM = 6,
  HILDA_TABLE = 7,
  HILDA_ADD = 8,
  HILDA_MULTIPLY = 9,
  HILDA_AVERAGE_POOL = 10,
  HILDA_MAX_POOL = 11,
  HILDA_TRANSPOSE = 12,
  HILDA_COPY = 13,
  HILDA_FILL = 14,
  HILDA_FETCH = 15,
  HILDA_LOOP = 16,
  HILDA_WINDOW = 17,
  HILDA_GENERATE = 18,
  HILDA_ARG_MAX = 19,
  HILDA_LSTM_CELL = 20,
  HILDA_GRU_CELL = 21,
  HILDA_GATHER = 22,
  HILDA_CODE_END
};

enum hilda_flag {
  HILDA_RING_OUT = 1,
  HILDA_EXCLUDE_PAD = 2,
  HILDA_PARTIAL_FIRST = 4,
  HILDA_WIDE = 8,
  HILDA_LAST = 16,
  HILDA_LEAST = 32
};

enum hilda_layout { HILDA_LAYOUT_ROWS = 0, HILDA_LAYOUT_SCALAR = 1, HILDA_LAYOUT_DSP = 2, HILDA_LAYOUT_MVE = 3 };

enum hilda_error {
  HILDA_OK = 0,
  HILDA_E_HEADER = 1,
  HILDA_E_ABI = 2,
  HILDA_E_ARENA = 3,
  HILDA_E_POOL = 4,
  HILDA_E_COUNT = 5,
  HILDA_E_CODE = 6,
  HILDA_E_BOUNDS = 7,
  HILDA_E_SPACE = 8,
  HILDA_E_ALIGNMENT = 9,
  HILDA_E_SHAPE = 10,
  HILDA_E_LIMIT = 11,
  HILDA_E_LAYOUT = 12,
  HILDA_E_RESERVED = 13,
  HILDA_E_GROUP = 14,
  HILDA_E_WORK = 15,
  HILDA_E_CANCELLED = 16,
  HILDA_E_FETCH = 17,
  HILDA_E_INDEX = 18
};

#define HILDA_MAX_OPERATORS 8192u
#define HILDA_MAX_MEMBERS 64u
#define HILDA_MAX_ROWS (1u << 20)
#define HILDA_MAX_WIDTH 65535u
#define HILDA_MAX_NORM_WIDTH 4096u
#define HILDA_MAX_TABLE_ROWS (1u << 20)
#define HILDA_MAX_COPY_WIDTH (1u << 24)
#define HILDA_MAX_TAPS 64u
#define HILDA_CURVE_ENTRIES 257u /* of each table of LSTM_CELL and GRU_CELL */
#define HILDA_MAX_WORK (1ull << 40)

typedef struct hilda_header {
  uint32_t magic;
  uint16_t abi;
  uint16_t record_bytes;
  uint32_t total_bytes;
  uint32_t operator_count;
  uint32_t constants_offset;
  uint32_t constants_bytes;
  uint32_t arena_bytes;
  uint32_t pool_bytes;
  uint32_t input_offset; /* HILDA_NONE: fetched in slices by FETCH */
  uint32_t input_bytes;
  uint32_t output_offset;
  uint32_t output_bytes;
  uint32_t reserved[4];
} hilda_header;

typedef struct hilda_rows_shape {
  uint32_t rows, k, n;
  uint32_t in1_column_stride, out_column_stride;
  int32_t multiplier, multiplier1, offset;
} hilda_rows_shape;

typedef struct hilda_window_shape {
  uint16_t in_height, in_width, in_channels;
  uint16_t out_height, out_width, out_channels;
  uint16_t kernel_height, kernel_width;
  uint8_t stride_height, stride_width, dilation_height, dilation_width;
  uint16_t pad_top, pad_left;
  int32_t multiplier;
  uint32_t reserved;
} hilda_window_shape;

typedef struct hilda_transpose_shape {
  uint32_t size[4];
  uint32_t stride[4];
} hilda_transpose_shape;

typedef struct hilda_operator {
  uint8_t code, flags, layout, shift;
  int8_t zero_in, zero_in1, zero_out, low;
  int8_t high;
  uint8_t reserved;
  uint16_t count;
  uint32_t in, in1, out;
  uint32_t weights, bias, multipliers, scratch;
  uint32_t in_stride, in1_stride, out_stride;
  int32_t in_step, in1_step, out_step;
  union {
    hilda_rows_shape rows;
    hilda_window_shape window;
    hilda_transpose_shape transpose;
  } shape;
} hilda_operator;

_Static_assert(sizeof(hilda_header) == 64, "header is 64 bytes");
_Static_assert(sizeof(hilda_operator) == 96, "record is 96 bytes");

#endif
