import {
  assertFits,
  compile,
  type ExportedSource,
  exportC,
} from '../../../firmware-bridge/compiler/index.js';
import { HildaError } from '../../core/errors.js';
import { elementCount, type Graph } from '../../network/graph.js';
import { loadBoardProfiles } from './board-profile.js';
import { calibrateOn, scalesFrom } from './calibrate.js';

export interface ExportOptions {
  /** A board's name; without it the source runs on any core, slowly. */
  readonly board?: string;
  /** Beginning of all names in the source. */
  readonly name: string;
  /** Inputs that the network will see, row-major. */
  readonly calibration: readonly (readonly number[])[];
  readonly signal: AbortSignal;
}

export interface NetworkExport extends ExportedSource {
  readonly arenaBytes: number;
  readonly flashBytes: number;
  /** What its 8-bit scales come from. */
  readonly calibratedOn: string;
}

/** A network as C source. Throws DEVICE_UNKNOWN for a board without a profile, DEVICE_OUT_OF_MEMORY, and what `compile` throws. */
export async function exportNetwork(
  network: Graph,
  { board, name, calibration, signal }: ExportOptions,
): Promise<NetworkExport> {
  const profiles = loadBoardProfiles();
  const profile = board === undefined ? undefined : profiles.get(board);
  if (board !== undefined && !profile)
    throw new HildaError('DEVICE_UNKNOWN', `there is no board ${board}`, {
      hint: `Boards: ${[...profiles.keys()].join(', ')}.`,
    });
  const input = network.inputs[0];
  const dims = (input?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
  const inputs = calibration.map((values) => {
    if (!input || values.length !== elementCount(dims))
      throw new HildaError(
        'REQUEST_INVALID',
        `a calibration input has ${values.length} values, the network takes ${elementCount(dims)}`,
      );
    return { [input.name]: { dims, data: Float32Array.from(values) } };
  });
  const { ranges, description } = calibrateOn(inputs, signal);
  const compiled = await compile(network, {
    board: {
      weightLayout: profile?.weightLayout ?? 'rows',
      arenaBytes: profile?.arenaBytes ?? profile?.sramBytes ?? Number.POSITIVE_INFINITY,
      flashBytes: profile?.flashBytes ?? Number.POSITIVE_INFINITY,
      weightsAt: profile?.weightsAt ?? 'flash',
      poolBytes: 0,
      fetchesInput: false,
    },
    weights: 'real',
    calibration: ranges,
    ...(profile ? {} : { goal: 'smallest' as const }),
  });
  assertFits(compiled);
  return {
    ...exportC(compiled, name),
    arenaBytes: compiled.arenaBytes,
    flashBytes: compiled.flashBytes,
    calibratedOn: scalesFrom(compiled, description),
  };
}
