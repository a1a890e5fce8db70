/* hilda_check: the header, then every record. Nothing runs before this has passed. */
#include "check.h"

static int check_header(const hilda_memory *memory, const uint8_t *program, uint32_t bytes) {
  const hilda_header *header = (const hilda_header *)program;
  if (((uintptr_t)program & 3u) || ((uintptr_t)memory->arena & 15u) || ((uintptr_t)memory->pool & 3u) ||
      ((uintptr_t)memory->constants & 3u))
    return HILDA_E_ALIGNMENT;
  if (bytes < sizeof *header || header->magic != HILDA_MAGIC) return HILDA_E_HEADER;
  if (header->abi != HILDA_ABI || header->record_bytes != sizeof(hilda_operator)) return HILDA_E_ABI;
  if (header->operator_count == 0 || header->operator_count > HILDA_MAX_OPERATORS) return HILDA_E_COUNT;
  const uint32_t records_end = (uint32_t)(sizeof *header + header->operator_count * sizeof(hilda_operator));
  if (header->total_bytes > bytes || header->constants_offset % 16u || header->constants_offset < records_end ||
      (uint64_t)header->constants_offset + header->constants_bytes > header->total_bytes)
    return HILDA_E_HEADER;
  for (uint32_t i = 0; i < 4; i++)
    if (header->reserved[i]) return HILDA_E_RESERVED;
  if (memory->constants && header->constants_bytes > memory->constants_bytes) return HILDA_E_HEADER;
  if (header->arena_bytes > memory->arena_bytes || header->arena_bytes > HILDA_OFFSET_MASK || !memory->arena)
    return HILDA_E_ARENA;
  if (header->pool_bytes > (memory->pool ? memory->pool_bytes : 0)) return HILDA_E_POOL;
  if (header->input_offset != HILDA_NONE && (uint64_t)header->input_offset + header->input_bytes > header->arena_bytes)
    return HILDA_E_BOUNDS;
  if ((uint64_t)header->output_offset + header->output_bytes > header->arena_bytes) return HILDA_E_BOUNDS;
  return HILDA_OK;
}

int hilda_check(const hilda_memory *memory, const uint8_t *program, uint32_t bytes, hilda_report *report) {
  const hilda_header *header = (const hilda_header *)program;
  hilda_checker checker = {header, 0};
  static const hilda_pass once = {.iterations = 1};
  *report = (hilda_report){0};
  report->error = check_header(memory, program, bytes);
  if (report->error) return report->error;
  const hilda_operator *records = (const hilda_operator *)(program + sizeof *header);
  for (uint32_t i = 0; i < header->operator_count; i++) {
    const uint8_t code = records[i].code;
    report->operator_index = i;
    if (code == HILDA_LOOP || code == HILDA_WINDOW) {
      report->error = hilda_check_group(&checker, records, i, &report->operator_index);
      i += records[i].count;
    } else {
      report->error = hilda_check_operator(&checker, &records[i], &once);
    }
    if (report->error) return report->error;
  }
  report->operator_index = 0;
  report->arena_bytes = header->arena_bytes;
  report->work = checker.work;
  return HILDA_OK;
}
