import { type ErrorCode, HildaError } from '../core/errors.js';

const outOfMemory =
  /bad_alloc|bad allocation|failed to allocate memory|allocation failed|out of memory|cannot allocate memory/i;
const fallback = /assigned to the default CPU EP/i;
const providerDown =
  /WebGPU adapter|Failed to load (shared )?library|CUDA (failure|error)|cannot open shared object|LoadLibrary failed|Failed to create session.*provider/i;

/**
 * Gives what onnxruntime threw its stable code. The runtime has no error classes in JavaScript: its words are all
 * there is, and what they do not tell apart is the network's fault (NETWORK_REJECTED).
 */
export function runtimeFailure(thrown: unknown): HildaError {
  if (thrown instanceof HildaError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new HildaError(codeOf(message), message, { cause: thrown });
}

function codeOf(message: string): ErrorCode {
  if (outOfMemory.test(message)) return 'DEVICE_OUT_OF_MEMORY';
  if (fallback.test(message)) return 'PROVIDER_FALLBACK';
  if (providerDown.test(message)) return 'DEVICE_FAILED';
  return 'NETWORK_REJECTED';
}
