import { HildaError } from '../core/errors.js';
import type { TraceRow } from './messages.js';

interface TraceEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

const kernelSuffix = '_kernel_time';

/**
 * Reads onnxruntime's Chrome trace: one row a kernel and run, in the order of execution. A `model_run` event closes
 * each run. Durations are whole microseconds.
 */
export function parseTrace(text: string): readonly TraceRow[] {
  let events: readonly TraceEvent[];
  try {
    events = JSON.parse(text) as readonly TraceEvent[];
  } catch (cause) {
    throw new HildaError('DEVICE_FAILED', 'onnxruntime wrote a profile that is not JSON', { cause });
  }
  const rows: TraceRow[] = [];
  let run = 0;
  for (const { cat, name = '', dur = 0, args = {} } of events) {
    if (cat === 'Session' && name === 'model_run') run++;
    if (cat !== 'Node' || !name.endsWith(kernelSuffix)) continue;
    rows.push({
      run,
      name: name.slice(0, -kernelSuffix.length),
      op: String(args.op_name ?? ''),
      provider: providerName(String(args.provider ?? '')),
      durUs: dur,
      memInUsePeakBytes: bytes(args.mem_in_use_peak),
      memRequestedInUseBytes: bytes(args.mem_bytes_requested_in_use),
      memRequestedDeltaBytes: bytes(args.mem_requested_in_use_delta),
      outputBytes: bytes(args.output_size),
      parameterBytes: bytes(args.parameter_size),
    });
  }
  return rows;
}

/** The trace writes every number as a string. */
const bytes = (value: unknown): number => (value === undefined ? 0 : Number(value));

/** `CPUExecutionProvider` -> `cpu`, the name under which sessions ask for it. */
const providerName = (name: string): string => name.replace(/ExecutionProvider$/, '').toLowerCase();
