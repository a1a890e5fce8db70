import { HildaError } from '../core/errors.js';
import type { CallLimits } from './child-channel.js';
import type { LoadedSession } from './messages.js';
import type { SessionProcess } from './session-process.js';

/**
 * Loads a network of which the values are wanted and not the time. Where onnxruntime refuses it, it is loaded once more as
 * it stands: the optimiser makes some sound networks unsound (at opset 21, signed 8-bit pairs that it moves).
 * Throws the first refusal where both loads are refused.
 */
export async function loadForValues(
  model: Uint8Array,
  runtime: SessionProcess,
  limits: CallLimits,
): Promise<LoadedSession> {
  const options = { arena: false };
  return runtime.load(model, options, limits).catch(async (error: unknown) => {
    if (!(error instanceof HildaError) || error.code !== 'NETWORK_REJECTED') throw error;
    return runtime.load(model, { ...options, optimisation: 'disabled' }, limits).catch(() => {
      throw error;
    });
  });
}
