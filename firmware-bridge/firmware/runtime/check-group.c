/* LOOP and WINDOW: how often each member runs, and that the members are what the group takes. */
#include "check.h"

static int windowed(const hilda_operator *record) {
  return record->code != HILDA_WINDOW && record->code < HILDA_CODE_END && hilda_rules[record->code].kind == SHAPE_WINDOW;
}

static int check_loop(hilda_checker *checker, const hilda_operator *records, uint32_t index, uint32_t *bad) {
  const hilda_operator *loop = &records[index];
  const hilda_rows_shape *shape = &loop->shape.rows;
  if (shape->rows == 0) return HILDA_E_SHAPE;
  if (shape->rows > HILDA_MAX_ROWS) return HILDA_E_LIMIT;
  const hilda_pass pass = {
      .iterations = shape->rows,
      .partial = shape->k,
      .short_index = loop->flags & HILDA_PARTIAL_FIRST ? 0u : shape->rows - 1u,
      .grouped = 1,
  };
  for (uint32_t i = 1; i <= loop->count; i++) {
    *bad = index + i;
    const int error = hilda_check_operator(checker, &records[index + i], &pass);
    if (error) return error;
  }
  return HILDA_OK;
}

static int check_window_group(hilda_checker *checker, const hilda_operator *records, uint32_t index, uint32_t *bad) {
  const hilda_operator *group = &records[index];
  const hilda_window_shape *shape = &group->shape.window;
  const uint32_t producers = shape->kernel_height;
  const uint32_t used = (uint32_t)shape->in_height | shape->in_width | shape->in_channels | shape->out_width |
                        shape->out_channels | shape->kernel_width | shape->stride_height | shape->stride_width |
                        shape->dilation_height | shape->dilation_width | shape->pad_top | shape->pad_left |
                        (uint32_t)shape->multiplier;
  if (used) return HILDA_E_RESERVED;
  if (producers == 0 || producers >= group->count) return HILDA_E_GROUP;
  const hilda_operator *consumer = &records[index + 1u + producers];
  const hilda_window_shape *taps = &consumer->shape.window;
  *bad = index + 1u + producers;
  if (!windowed(consumer) || taps->out_height != shape->out_height || shape->out_height == 0) return HILDA_E_GROUP;
  if (consumer->count < ((uint32_t)taps->kernel_height - 1u) * taps->dilation_height + 1u) return HILDA_E_GROUP;
  const hilda_pass producing = {.iterations = taps->in_height, .ring_rows = consumer->count, .grouped = 1};
  const hilda_pass consuming = {.iterations = shape->out_height, .grouped = 1, .row_wise = 1};
  if (taps->in_height == 0) return HILDA_E_SHAPE;
  for (uint32_t i = 1; i <= group->count; i++) {
    const hilda_operator *member = &records[index + i];
    *bad = index + i;
    if (i != 1u + producers && windowed(member)) return HILDA_E_GROUP;
    const int error = hilda_check_operator(checker, member, i <= producers ? &producing : &consuming);
    if (error) return error;
  }
  return HILDA_OK;
}

int hilda_check_group(hilda_checker *checker, const hilda_operator *records, uint32_t index, uint32_t *bad) {
  const hilda_operator *group = &records[index];
  static const hilda_pass once = {.iterations = 1};
  const int error = hilda_check_fields(group, &once);
  if (error) return error;
  if (group->count == 0 || group->count > HILDA_MAX_MEMBERS || group->count >= checker->header->operator_count - index)
    return HILDA_E_GROUP;
  return group->code == HILDA_LOOP ? check_loop(checker, records, index, bad)
                                   : check_window_group(checker, records, index, bad);
}
