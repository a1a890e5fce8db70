import {
  assertFits,
  compile,
  type ExportedSource,
  exportC,
} from '../../../firmware-bridge/compiler/index.js';
import { HildaError } from '../../core/errors.js';
import type { Graph } from '../../network/graph.js';
import type { Calibrating } from '../contract.js';
import { loadBoardProfiles } from './board-profile.js';
import { calibrateOn, scalesFrom } from './calibrate.js';

export interface ExportOptions extends Calibrating {
  /** A board's name; without it the source runs on any core, slowly. */
  readonly board?: string;
  /** Beginning of all names in the source. */
  readonly name: string;
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
  { board, name, signal, ...calibrating }: ExportOptions,
): Promise<NetworkExport> {
  const profiles = loadBoardProfiles();
  const profile = board === undefined ? undefined : profiles.get(board);
  if (board !== undefined && !profile)
    throw new HildaError('DEVICE_UNKNOWN', `there is no board ${board}`, {
      hint: `Boards: ${[...profiles.keys()].join(', ')}.`,
    });
  const { ranges, description } = calibrateOn(calibrating, signal);
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
