import type { BoardSession } from '../../../firmware-bridge/link/index.js';
import type { Clock } from '../../core/clock.js';
import { asHildaError } from '../../core/errors.js';
import { Xoshiro128 } from '../../core/rng.js';
import type { Protocol } from '../../measure/protocol.js';
import { relativeHalfWidth, summarise } from '../../measure/statistics.js';
import { paints } from './board-costs.js';
import type { BoardProgram } from './board-program.js';
import { type BoardRun, loadProgram, type RunBounds, type RunOnce } from './board-runs.js';

/** Runs of the reference network in a row; their totals in ticks. */
export interface ReferenceLeg {
  readonly ticks: readonly number[];
  readonly takenAtUs: number;
}

export interface SiliconRounds {
  /** Painted, for the peaks; they also warm the caches and are not timed. */
  readonly painted: readonly BoardRun[];
  /** The timed runs, in order, cut into blocks with a leg of the reference on either side. */
  readonly blocks: readonly (readonly BoardRun[])[];
  /** One more than there are blocks, unless the reference failed. */
  readonly legs: readonly ReferenceLeg[];
  /** Why the reference could not be run after a block. */
  readonly referenceFault: string | null;
  /** Upload and check of the program, and the first inference behind it; the latter in ticks. */
  readonly loadUs: number;
  readonly firstRunTicks: number;
  readonly stoppedBy: 'interval' | 'rounds' | 'budget';
}

export interface RoundsOptions extends RunBounds {
  readonly clock: Clock;
  readonly protocol: Protocol;
  readonly reference: BoardProgram;
  /** A leg that ended a moment ago on the same board: it stands before the first block. */
  readonly before?: ReferenceLeg | undefined;
  readonly onRound?: (done: number, of: number) => void;
}

/** A leg that is older says nothing of the board's state now. */
const legLastsUs = 30e6;
/** Boards repeat themselves: few runs tell what the reference takes. The first one finds cold caches. */
const leastRunsPerLeg = 3;
/** The interval shrinks with the square root of the rounds; a little more than it asks for. */
const planMargin = 1.1;

/**
 * Takes the protocol's least number of rounds with the reference before and after. Where their interval is too wide, their
 * spread tells how many rounds it takes in all (Stein, 1945), as far as the protocol allows: those are taken as a second
 * block. The interval is thus looked at once, when all rounds are there. Rounds below the least number are never left out,
 * even past the time budget.
 */
export async function takeRounds(
  session: BoardSession,
  program: BoardProgram,
  { clock, protocol, reference, before, onRound, ...bounds }: RoundsOptions,
): Promise<SiliconRounds> {
  const leg = async (): Promise<ReferenceLeg> => {
    const runOnce = await loadProgram(session, reference, bounds);
    const runs = await runsInRow(runOnce, Math.max(leastRunsPerLeg, Math.min(protocol.runsPerLeg, 5)) + 1);
    return { ticks: runs.slice(1).map(({ total }) => total), takenAtUs: clock.monotonicUs() };
  };
  const recent = before && clock.monotonicUs() - before.takenAtUs < legLastsUs ? before : undefined;
  const legs: ReferenceLeg[] = [recent ?? (await leg())];

  const loadedUs = clock.monotonicUs();
  let runOnce = await loadProgram(session, program, bounds);
  const loadUs = clock.monotonicUs() - loadedUs;
  const painted: BoardRun[] = [];
  for (const paint of paints) painted.push(await runOnce(paint));

  const blocks: BoardRun[][] = [];
  let planned = protocol.minRounds;
  const done = (): number => blocks.reduce((sum, block) => sum + block.length, 0);
  const startUs = clock.monotonicUs();
  const block = async (rounds: number): Promise<void> => {
    const before = done();
    blocks.push(await runsInRow(runOnce, rounds, (i) => onRound?.(before + i, planned)));
  };
  const taken = (stoppedBy: SiliconRounds['stoppedBy'], referenceFault: string | null): SiliconRounds => ({
    painted,
    blocks,
    legs,
    referenceFault,
    loadUs,
    firstRunTicks: painted[0]?.total ?? 0,
    stoppedBy,
  });
  await block(planned);
  const roundMs = (clock.monotonicUs() - startUs) / 1000 / planned;
  const fault = await legAfter(leg, legs);
  const width = relativeHalfWidth(summariseTotals(blocks));
  if (fault !== null || width <= protocol.ciHalfWidth) return taken('interval', fault);
  const needed = Math.ceil(planned * (planMargin * (width / protocol.ciHalfWidth)) ** 2);
  const affordable = Math.floor(protocol.maxMs / roundMs);
  const more = Math.min(needed, protocol.maxRounds, affordable) - planned;
  if (more <= 0) return taken(affordable < needed ? 'budget' : 'rounds', null);
  planned += more;
  runOnce = await loadProgram(session, program, bounds);
  await runOnce();
  await block(more);
  const laterFault = await legAfter(leg, legs);
  const enough = relativeHalfWidth(summariseTotals(blocks)) <= protocol.ciHalfWidth;
  return taken(enough ? 'interval' : affordable < needed ? 'budget' : 'rounds', laterFault);
}

/** What a board without an answer says about itself: nothing of it can be kept. */
const gone = ['restarted', 'lost', 'unanswered', 'hung'] as const;

/** A reference that the board refuses or stops ends the rounds: they are kept, and the verdict tells. */
async function legAfter(leg: () => Promise<ReferenceLeg>, legs: ReferenceLeg[]): Promise<string | null> {
  try {
    legs.push(await leg());
    return null;
  } catch (thrown) {
    const error = asHildaError(thrown);
    if (error.code === 'INTERRUPTED' || gone.some((detail) => error.details[detail] === true)) throw thrown;
    return error.message;
  }
}

/** So many timed runs, one behind the other. */
export async function runsInRow(
  runOnce: RunOnce,
  count: number,
  onRun?: (done: number) => void,
): Promise<BoardRun[]> {
  const runs: BoardRun[] = [];
  while (runs.length < count) {
    runs.push(await runOnce());
    onRun?.(runs.length);
  }
  return runs;
}

const summariseTotals = (blocks: SiliconRounds['blocks']) =>
  summarise(
    blocks.flat().map(({ total }) => total),
    Xoshiro128.fromSeed(1),
  );
