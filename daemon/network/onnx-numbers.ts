import { HildaError } from '../core/errors.js';

/** A 64-bit integer as protobufjs hands it out. */
export type Long = number | { toNumber(): number } | null | undefined;

export const invalid = (why: string, cause?: unknown): HildaError =>
  new HildaError('ONNX_INVALID', `not a usable ONNX model: ${why}`, { cause });

/** Clamped to the integers a double holds: exporters write INT64_MAX for "to the end", which would wrap when written. */
export function whole(value: Long): number {
  const number = typeof value === 'number' ? value : (value?.toNumber() ?? 0);
  return Math.min(Math.max(number, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
}
