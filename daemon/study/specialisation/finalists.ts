import { HildaError } from '../../core/errors.js';
import type { ArchitectureId, DeviceId, StudyId } from '../../core/ids.js';
import type { FrontRow } from '../front-rows.js';
import { keeps } from '../winner.js';
import type { SpeedMetric } from './shapes.js';

/** A search that has ended. */
export interface SearchFront {
  readonly deviceId: DeviceId;
  readonly study: StudyId;
  readonly speed: SpeedMetric;
  readonly front: readonly FrontRow[];
}

/** A front member that its search sends to the finals. */
export interface Find {
  /** For which it was searched. */
  readonly deviceId: DeviceId;
  readonly study: StudyId;
  readonly row: FrontRow;
}

/** A network in the finals. */
export interface Finalist {
  readonly architectureId: ArchitectureId;
  /** By the searches that sent it, in the order of the devices. */
  readonly finds: readonly [Find, ...Find[]];
}

export interface Finalists {
  /** Accuracies from here on count as equal, a share of 1. */
  readonly level: number;
  /** Each network once. */
  readonly finalists: readonly Finalist[];
  /** The fastest that each device's own search sent. */
  readonly ownBest: ReadonlyMap<DeviceId, Finalist>;
}

/**
 * Equal accuracy is the least of the fronts' best accuracies less `slack` (a share of 1). Each search sends up to `most` members
 * of its front from that level on, the fastest by its own metric. Throws SPACE_INFEASIBLE.
 */
export function chooseFinalists(
  searches: readonly SearchFront[],
  { slack, most }: { readonly slack: number; readonly most: number },
): Finalists {
  const level = Math.min(...searches.map(bestAccuracy)) - slack;
  const sent = searches.map(({ deviceId, study, speed, front }) =>
    front
      .filter((row) => keeps(row, { metric: 'accuracy', relation: '>=', bound: level }))
      .sort((a, b) => (a.values[speed] as number) - (b.values[speed] as number))
      .slice(0, most)
      .map((row): Find => ({ deviceId, study, row })),
  );
  const byId = new Map<ArchitectureId, Finalist>();
  for (const find of sent.flat()) {
    const { architectureId } = find.row;
    const finds = byId.get(architectureId)?.finds;
    byId.set(architectureId, { architectureId, finds: finds ? [...finds, find] : [find] });
  }
  return {
    level,
    finalists: [...byId.values()],
    // A front with an accuracy has a member that is accurate enough.
    ownBest: new Map(
      sent.map(([best]) => {
        const { deviceId, row } = best as Find;
        return [deviceId, byId.get(row.architectureId) as Finalist];
      }),
    ),
  };
}

/** Where a winner for `deviceId` was found: by that device's own search, if it sent it too. */
export const findFor = ({ finds }: Finalist, deviceId: DeviceId): Find =>
  finds.find((find) => find.deviceId === deviceId) ?? finds[0];

function bestAccuracy({ study, front }: SearchFront): number {
  const best = Math.max(...front.map(({ values }) => values.accuracy ?? Number.NEGATIVE_INFINITY));
  if (Number.isFinite(best)) return best;
  throw new HildaError('SPACE_INFEASIBLE', `the front of ${study} is empty`);
}
