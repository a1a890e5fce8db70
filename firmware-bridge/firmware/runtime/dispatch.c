/* Code to function. An exported program links its own table with only the operators it uses. */
#include "run.h"

int (*const hilda_dispatch[HILDA_CODE_END])(const hilda_call *) = {
    [HILDA_LINEAR] = hilda_linear_run,
    [HILDA_CONV2D] = hilda_convolution_run,
    [HILDA_DEPTHWISE] = hilda_depthwise_run,
    [HILDA_MATMUL] = hilda_matmul_run,
    [HILDA_SOFTMAX] = hilda_softmax_run,
    [HILDA_LAYER_NORM] = hilda_layer_norm_run,
    [HILDA_TABLE] = hilda_table_run,
    [HILDA_ADD] = hilda_add_run,
    [HILDA_MULTIPLY] = hilda_multiply_run,
    [HILDA_AVERAGE_POOL] = hilda_average_pool_run,
    [HILDA_MAX_POOL] = hilda_max_pool_run,
    [HILDA_TRANSPOSE] = hilda_transpose_run,
    [HILDA_COPY] = hilda_copy_run,
    [HILDA_FILL] = hilda_fill_run,
    [HILDA_GENERATE] = hilda_generate_run,
    [HILDA_ARG_MAX] = hilda_arg_max_run,
    [HILDA_LSTM_CELL] = hilda_lstm_cell_run,
    [HILDA_GRU_CELL] = hilda_gru_cell_run,
    [HILDA_GATHER] = hilda_gather_run,
};
