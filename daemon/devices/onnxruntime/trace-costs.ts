import { HildaError } from '../../core/errors.js';
import type { OperatorCost } from '../../core/measurement.js';
import { median } from '../../measure/statistics.js';
import type { TraceRow } from '../../runtime/messages.js';

/**
 * Bytes that stood allocated before the first operator ran: weights that the runtime packed anew (MatMul's are in its
 * counter, Conv's are not). They are weights, so they are taken off the activations.
 */
function packedWeightBytes(firstRun: readonly TraceRow[]): number {
  const first = firstRun[0];
  return first === undefined ? 0 : Math.max(0, first.memRequestedInUseBytes - first.memRequestedDeltaBytes);
}

/**
 * Highest live activation bytes, as onnxruntime counted them. Read from run 0 of a trace alone: from the second run
 * on the memory pattern is allocated at once and hides the live set. The input tensors, which the caller owns, are
 * not in the counter.
 */
export function activationPeakBytes(rows: readonly TraceRow[]): number {
  const firstRun = rows.filter((row) => row.run === 0);
  const peak = firstRun.reduce((max, row) => Math.max(max, row.memInUsePeakBytes), 0);
  return Math.max(0, peak - packedWeightBytes(firstRun));
}

/**
 * Every operator ran where it was asked to, as the trace tells: the second lock beside the session's own option, which
 * refuses what the provider does not take at all. Throws PROVIDER_FALLBACK.
 */
export function assertPlacement(rows: readonly TraceRow[], provider: string): void {
  const elsewhere = rows.filter((row) => row.provider !== provider);
  if (elsewhere.length === 0) return;
  const where = [...new Set(elsewhere.map((row) => `${row.op} on ${row.provider}`))];
  throw new HildaError('PROVIDER_FALLBACK', `not everything ran on ${provider}: ${where.join(', ')}`, {
    details: { operators: where },
  });
}

/** One entry an executed operator, in order: times from the runs after the first, memory from the first. */
export function operatorCosts(rows: readonly TraceRow[]): readonly OperatorCost[] {
  const runs = new Map<number, TraceRow[]>();
  for (const row of rows) {
    const list = runs.get(row.run);
    if (list === undefined) runs.set(row.run, [row]);
    else list.push(row);
  }
  const firstRun = runs.get(0) ?? [];
  const packed = packedWeightBytes(firstRun);
  // Data-dependent control flow may execute another number of operators; such runs cannot be aligned.
  const later = [...runs]
    .filter(([run, list]) => run > 0 && list.length === firstRun.length)
    .map(([, list]) => list);
  return firstRun.map((row, i) => ({
    name: row.name,
    op: row.op,
    provider: row.provider,
    medianUs: later.length === 0 ? row.durUs : median(later.map((list) => (list[i] as TraceRow).durUs)),
    count: null,
    outputBytes: row.outputBytes,
    parameterBytes: row.parameterBytes,
    liveBytes: Math.max(0, row.memRequestedInUseBytes - packed),
  }));
}
