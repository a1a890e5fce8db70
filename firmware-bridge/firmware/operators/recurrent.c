/* LSTM_CELL and GRU_CELL: the elements of one step of a recurrent layer, from 16-bit gates to an 8-bit output and a 16-bit
 * state (ABI.md, "Arithmetic"). Loops over steps are LOOPs. */
#include "call.h"

typedef int16_t curve[HILDA_CURVE_ENTRIES];

/* A function of a 16-bit value: the straight line between the two entries around it. */
HILDA_INLINE int32_t along(const int16_t *entries, int32_t value) {
  const uint32_t at = (uint32_t)(value + 32768) >> 8;
  const int32_t from = entries[at], to = entries[at + 1];
  return from + (((to - from) * (value & 255) + 128) >> 8);
}

int hilda_lstm_cell_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const uint32_t n = shape->n;
  const curve *curves = call->weights;
  const hilda_quant quant = hilda_quant_of(record);
  const hilda_quant whole = {record->zero_in1, -128, 127, record->shift};
  const int8_t *gates = call->in;
  int8_t *state = call->out + record->out_stride, *narrow = state + 2 * n;
  if (hilda_cancelled(call, 16u * n)) return HILDA_E_CANCELLED;
  for (uint32_t i = 0; i < n; i++, gates += 2, state += 2) {
    const int32_t in = along(curves[0], hilda_load16(gates));
    const int32_t out = along(curves[0], hilda_load16(gates + 2 * n));
    const int32_t forget = along(curves[0], hilda_load16(gates + 4 * n));
    const int32_t candidate = along(curves[1], hilda_load16(gates + 6 * n));
    const int32_t sum = (forget * hilda_load16(state) + ((in * candidate) >> 4) + 16384) >> 15;
    const int32_t cell = hilda_clamp(sum, -32768, 32767);
    const int32_t bent = along(curves[2], hilda_clamp(2 * cell, -32768, 32767));
    hilda_store16(state, cell);
    call->out[i] = hilda_requantise((out * bent + 16384) >> 15, shape->multiplier, &quant);
    if (shape->multiplier1) narrow[i] = hilda_requantise(cell, shape->multiplier1, &whole);
  }
  return HILDA_OK;
}

int hilda_gru_cell_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const uint32_t n = shape->n;
  const curve *curves = call->weights;
  const hilda_quant quant = hilda_quant_of(record);
  const int8_t *gates = call->in;
  int8_t *state = call->out + record->out_stride;
  if (hilda_cancelled(call, 16u * n)) return HILDA_E_CANCELLED;
  for (uint32_t i = 0; i < n; i++, gates += 2, state += 2) {
    const int32_t keep = along(curves[0], hilda_load16(gates));
    int32_t argument = hilda_load16(gates + 2 * n);
    if (shape->k == 4) {
      /* Gates: keep, reset, what the input adds, what the state adds. */
      const int32_t reset = along(curves[0], argument);
      argument = hilda_load16(gates + 4 * n) + ((reset * hilda_load16(gates + 6 * n) + 16384) >> 15);
      argument = hilda_clamp(argument, -32768, 32767);
    }
    const int32_t candidate = along(curves[1], argument);
    const int32_t mixed = (candidate * (32768 - keep) + keep * hilda_load16(state) + 16384) >> 15;
    hilda_store16(state, mixed);
    call->out[i] = hilda_requantise(hilda_clamp(mixed, -32768, 32767), shape->multiplier, &quant);
  }
  return HILDA_OK;
}
