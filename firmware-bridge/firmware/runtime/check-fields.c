/* The checks that need one record alone: unused fields are zero, references have the right space and alignment. */
#include "check.h"

static int check_reference(uint32_t reference, int used, int optional, int written, int aligned) {
  if (reference == HILDA_NONE) return used && !optional ? HILDA_E_SPACE : HILDA_OK;
  if (!used) return HILDA_E_RESERVED;
  const uint32_t space = reference >> HILDA_SPACE_SHIFT;
  if (space > HILDA_SPACE_POOL || (written && space != HILDA_SPACE_ARENA)) return HILDA_E_SPACE;
  return aligned && (reference & 3u) ? HILDA_E_ALIGNMENT : HILDA_OK;
}

static int check_references(const hilda_operator *record, const hilda_rule *rule) {
  const uint32_t references[7] = {record->in,   record->in1,         record->out,    record->weights,
                                  record->bias, record->multipliers, record->scratch};
  for (uint32_t i = 0; i < 7; i++) {
    const uint32_t bit = 1u << i;
    const int optional = !(rule->required & bit);
    const int used = (rule->required | rule->optional) & bit;
    const int error = check_reference(references[i], used, optional, bit & (REF_OUT | REF_SCRATCH),
                                      bit & (REF_WEIGHTS | REF_BIAS | REF_MULTIPLIERS | REF_SCRATCH));
    if (error) return error;
  }
  return HILDA_OK;
}

static int check_unused_dims(const hilda_operator *record, const hilda_rule *rule) {
  const hilda_rows_shape *s = &record->shape.rows;
  const uint32_t values[8] = {s->rows, s->k, s->n, s->in1_column_stride, s->out_column_stride, (uint32_t)s->multiplier,
                              (uint32_t)s->multiplier1, (uint32_t)s->offset};
  if (rule->kind == SHAPE_WINDOW) return record->shape.window.reserved ? HILDA_E_RESERVED : HILDA_OK;
  if (rule->kind == SHAPE_TRANSPOSE) return HILDA_OK;
  for (uint32_t i = 0; i < 8; i++)
    if (values[i] && !(rule->dims & (1u << i))) return HILDA_E_RESERVED;
  return HILDA_OK;
}

int hilda_check_fields(const hilda_operator *record, const hilda_pass *pass) {
  if (record->code == 0 || record->code >= HILDA_CODE_END) return HILDA_E_CODE;
  const hilda_rule *rule = &hilda_rules[record->code];
  const int generates = record->code == HILDA_GENERATE;
  const int laid_out = generates || record->code == HILDA_LINEAR || record->code == HILDA_CONV2D;
  const int group = record->code == HILDA_LOOP || record->code == HILDA_WINDOW;
  const int strided = rule->kind != SHAPE_TRANSPOSE;
  if (record->flags & ~rule->flags) return HILDA_E_CODE;
  if ((record->flags & HILDA_RING_OUT) && !pass->ring_rows) return HILDA_E_GROUP;
  if (record->reserved || (record->layout && !laid_out)) return HILDA_E_RESERVED;
  if (record->count && !group && rule->kind != SHAPE_WINDOW) return HILDA_E_RESERVED;
  if (record->shift < rule->min_shift || record->shift > rule->max_shift || record->low > record->high)
    return HILDA_E_SHAPE;
  const int has_in = rule->required & REF_IN, has_in1 = rule->required & REF_IN1, has_out = rule->required & REF_OUT;
  if ((record->in_stride && !(has_in && strided)) || (record->in1_stride && !has_in1) ||
      (record->out_stride && !(has_out && strided && !generates)))
    return HILDA_E_RESERVED;
  if ((record->in_step && !(pass->grouped && (has_in || generates || record->code == HILDA_FETCH))) ||
      (record->in1_step && !(pass->grouped && has_in1)) || (record->out_step && !(pass->grouped && has_out)))
    return HILDA_E_RESERVED;
  const int error = check_references(record, rule);
  return error ? error : check_unused_dims(record, rule);
}
