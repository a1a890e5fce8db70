/* What the interpreter hands to an operator: its record, with references resolved to pointers. */
#ifndef HILDA_CALL_H
#define HILDA_CALL_H

#include "../include/hilda_program.h"
#include "arithmetic.h"

typedef struct hilda_call {
  const hilda_operator *record;
  const int8_t *in, *in1;
  int8_t *out;
  const void *weights;
  const int32_t *bias, *multipliers;
  void *scratch;
  uint32_t rows;                /* rows to run now (a partial tile runs fewer than the record's) */
  uint32_t first_row, end_row;  /* windowed operators: output rows to run */
  uint32_t ring_rows;           /* windowed operators: rows of the input ring, or 0 */
  uint32_t offset;              /* GENERATE: the record's, moved by this iteration's step */
  int (*keep_going)(void);
  uint32_t *unasked; /* elementary steps since keep_going was asked */
} hilda_call;

/* Every operator returns 0, or HILDA_E_CANCELLED when keep_going said stop. */
int hilda_linear_run(const hilda_call *call);
int hilda_convolution_run(const hilda_call *call);
int hilda_depthwise_run(const hilda_call *call);
int hilda_matmul_run(const hilda_call *call);
int hilda_softmax_run(const hilda_call *call);
int hilda_layer_norm_run(const hilda_call *call);
int hilda_table_run(const hilda_call *call);
int hilda_add_run(const hilda_call *call);
int hilda_multiply_run(const hilda_call *call);
int hilda_average_pool_run(const hilda_call *call);
int hilda_max_pool_run(const hilda_call *call);
int hilda_transpose_run(const hilda_call *call);
int hilda_copy_run(const hilda_call *call);
int hilda_fill_run(const hilda_call *call);
int hilda_generate_run(const hilda_call *call);
int hilda_arg_max_run(const hilda_call *call);
int hilda_lstm_cell_run(const hilda_call *call);
int hilda_gru_cell_run(const hilda_call *call);
int hilda_gather_run(const hilda_call *call);

/* Asking costs as much as a row of a small operator: it is done once in so many MACs or elements. */
#define HILDA_STEPS_BETWEEN_ASKS 16384u

/* Called before `steps` elementary steps. */
HILDA_INLINE int hilda_cancelled(const hilda_call *call, uint32_t steps) {
  *call->unasked += steps;
  if (*call->unasked < HILDA_STEPS_BETWEEN_ASKS) return 0;
  *call->unasked = 0;
  return call->keep_going && !call->keep_going();
}

HILDA_INLINE hilda_quant hilda_quant_of(const hilda_operator *record) {
  const hilda_quant quant = {record->zero_out, record->low, record->high, record->shift};
  return quant;
}

#endif
