import type { z } from 'zod';
import { type SuiteFile, suiteOf, type suiteSchema } from '../benchmarks/suites/suite.js';
import type { HildaError } from '../core/errors.js';
import type { BlobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { SimulatedClock } from '../core/simulated-clock.js';
import { drawUnits } from './draw-units.js';
import { type FleetOutcome, outcomeOf } from './outcome.js';
import { openSimulatedParts, type SimulatedParts } from './simulated-parts.js';
import { type FleetSpec, spanOf } from './spec.js';

export interface SimulateOptions {
  /** A folder, which stays; or `:memory:`. */
  readonly dataDir: string;
  readonly profilesDir: string;
  /** The suite with its files stored: `put` answers with the SHA-256 of a model. */
  readonly suiteFrom: (
    suite: SuiteFile,
    put: (model: Uint8Array) => Promise<BlobId>,
  ) => Promise<z.input<typeof suiteSchema>>;
  readonly signal: AbortSignal;
  /** Hears after each simulated day. */
  readonly onDay?: (day: number) => void;
}

const dayMs = 86_400_000;
/** What runs at the end is waited for so long: a suite may take a night. */
const mostDrainMs = 14 * dayMs;
const drainLookMs = 60_000;

/**
 * Lives through the days of a specification with the parts of a daemon, on a clock that jumps from event to event. The same
 * specification gives the same outcome. Throws what suites and schedules refuse, and the signal's reason.
 */
export async function simulateFleet(spec: FleetSpec, options: SimulateOptions): Promise<FleetOutcome> {
  const { dataDir, profilesDir, suiteFrom, signal, onDay } = options;
  const [startMs, endMs] = spanOf(spec);
  const clock = new SimulatedClock(startMs);
  const units = drawUnits(spec);
  const troubles = new Map<string, number>();
  const onError = ({ code }: HildaError): void => void troubles.set(code, (troubles.get(code) ?? 0) + 1);
  const parts = await openSimulatedParts({ dataDir, profilesDir, clock, units, onError });
  try {
    const { calendar, models } = parts;
    for (const { name, cron, timezone, window, compare, suite } of spec.schedules) {
      const given = await clock.hold(() => suiteFrom(suite, (model) => models.put(model)));
      const checked = suiteOf(given as unknown as Json);
      await calendar.add({
        name,
        kind: 'suite',
        timing: { cron, timezone, ...(window && { window }), catchUp: false },
        request: JSON.parse(JSON.stringify({ suite: checked, compare })) as Json,
      });
    }
    await calendar.start();
    for (let day = 1; clock.nowMs() < endMs; day++) {
      await clock.sleep(Math.min(startMs + day * dayMs, endMs) - clock.nowMs(), { signal });
      onDay?.(Math.min(day, spec.days));
    }
    await drain(parts, clock, spec, signal);
    return await outcomeOf(parts.store, { spec, units, troubles: Object.fromEntries(troubles) });
  } finally {
    await parts.stop();
  }
}

/** Nothing fires any more; what fired ends, and is looked at. */
async function drain(
  { store, calendar, watcher }: SimulatedParts,
  clock: SimulatedClock,
  { schedules }: FleetSpec,
  signal: AbortSignal,
): Promise<void> {
  for (const { name } of schedules) await calendar.pause(name);
  const untilMs = clock.nowMs() + mostDrainMs;
  for (const { name } of schedules)
    while ((await store.openFirings(name)).length > 0 && clock.nowMs() < untilMs)
      await clock.sleep(drainLookMs, { signal });
  await watcher.catchUp();
}
