/* Which fields each operator uses; whatever it does not use must be zero (references: none). */
#ifndef HILDA_RULES_H
#define HILDA_RULES_H

#include "../include/hilda_program.h"

enum { REF_IN = 1, REF_IN1 = 2, REF_OUT = 4, REF_WEIGHTS = 8, REF_BIAS = 16, REF_MULTIPLIERS = 32, REF_SCRATCH = 64 };
enum {
  DIM_ROWS = 1,
  DIM_K = 2,
  DIM_N = 4,
  DIM_IN1_COLUMN = 8,
  DIM_OUT_COLUMN = 16,
  DIM_MULTIPLIER = 32,
  DIM_MULTIPLIER1 = 64,
  DIM_OFFSET = 128
};
enum hilda_shape_kind { SHAPE_ROWS, SHAPE_WINDOW, SHAPE_TRANSPOSE };

typedef struct hilda_rule {
  uint8_t required, optional; /* references; the strides of in, in1 and out go with them where shape has rows */
  uint8_t dims;               /* of the rows shape */
  uint8_t kind;
  uint8_t min_shift, max_shift;
  uint8_t flags;
} hilda_rule;

extern const hilda_rule hilda_rules[HILDA_CODE_END];

#endif
