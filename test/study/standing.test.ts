import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { DeviceId, StudyId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import { dominates } from '../../daemon/search/pareto/dominance.js';
import { hypervolume } from '../../daemon/search/pareto/hypervolume.js';
import type { Objective } from '../../daemon/search/samplers/contract.js';
import {
  type TrialColumns,
  type TrialRecord,
  type TrialSeal,
  type TrialsSince,
  trialStates,
} from '../../daemon/store/contract.js';
import { lackedDevices } from '../../daemon/study/coverage.js';
import { selectColumns, selectTrials, type TrialOrder } from '../../daemon/study/select-trials.js';
import { hasCosts, isWhole, parseStudySpec, type StudySpec } from '../../daemon/study/spec.js';
import { Standing } from '../../daemon/study/standing.js';
import { Standings } from '../../daemon/study/standings.js';
import { keeps, type Limit } from '../../daemon/study/winner.js';

/** What counts of a trial here. */
type Given = Pick<TrialRecord, 'state' | 'told'> & { readonly values: Record<string, number> };

const specOf = (changes: object): StudySpec =>
  parseStudySpec({
    name: 's',
    space: 'none',
    devices: ['a'],
    budget: { trials: 1000 },
    batch: 4,
    ...changes,
  });

const min = (metric: string): Objective => ({ metric, goal: 'min' });
const accuracy: Objective = { metric: 'accuracy', goal: 'max' };
const specs: readonly StudySpec[] = [
  specOf({}),
  specOf({ objectives: [min('latencyUs')] }),
  specOf({ devices: ['a', 'b'], objectives: [accuracy, min('latencyUs'), min('cycles@b')] }),
  specOf({
    devices: ['a', 'b', 'c'],
    objectives: [accuracy, min('latencyUs')],
    constraints: [{ metric: 'accuracy@c', max: 1 }],
  }),
  specOf({ devices: ['a', 'b'], objectives: [min('latencyUs'), min('macs')] }),
];

// Few values, so that ties, equal points and absent ones are frequent.
const metrics = ['accuracy', 'floatAccuracy', 'accuracy@b', 'latencyUs', 'cycles@b', 'peakBytes@c', 'macs'];
const values = fc
  .dictionary(fc.constantFrom(...metrics), fc.integer({ min: 0, max: 5 }), { noNullPrototype: true })
  .chain((some) =>
    fc
      .boolean()
      .map((whole) =>
        whole ? { accuracy: 1, latencyUs: 2, 'cycles@b': 3, 'peakBytes@c': 4, ...some } : some,
      ),
  );
const trial: fc.Arbitrary<Given> = fc.record({
  state: fc.constantFrom(...trialStates, 'complete', 'complete', 'complete'),
  told: fc.boolean(),
  values,
});

function pieceOf(trials: readonly Given[], from: number): TrialColumns {
  const names = [...new Set(trials.flatMap((one) => Object.keys(one.values)))];
  return {
    from,
    length: trials.length,
    states: Uint8Array.from(trials, ({ state }) => trialStates.indexOf(state)),
    told: Uint8Array.from(trials, ({ told }) => (told ? 1 : 0)),
    values: new Map(
      names.map((name) => [name, Float64Array.from(trials, (one) => one.values[name] ?? Number.NaN)]),
    ),
  };
}

function piecesOf(trials: readonly Given[], lengths: readonly number[]): TrialColumns[] {
  const pieces: TrialColumns[] = [];
  for (let from = 0, k = 0; from < trials.length; k++) {
    const length = lengths[k % lengths.length] as number;
    pieces.push(pieceOf(trials.slice(from, from + length), from));
    from += length;
  }
  return pieces;
}

/** The definitions, over all trials at once. */
function directly(trials: readonly Given[], spec: StudySpec) {
  const numbered = trials.map((one, number) => ({ ...one, number }));
  const costsOf = (one: Given, objectives: readonly Objective[]): number[] | undefined => {
    if (one.state !== 'complete' || objectives.length === 0) return undefined;
    const costs = objectives.map(
      ({ metric, goal }) => (goal === 'min' ? 1 : -1) * (one.values[metric] ?? Number.NaN),
    );
    return costs.some(Number.isNaN) ? undefined : costs;
  };
  const frontOf = (among: typeof numbered, objectives: readonly Objective[]): number[] => {
    const scored = among.flatMap(({ number, ...one }) => {
      const costs = costsOf(one, objectives);
      return costs ? [{ number, costs }] : [];
    });
    return scored
      .filter(({ costs }) => !scored.some((other) => dominates(other.costs, costs)))
      .sort((a, b) => (a.costs[0] as number) - (b.costs[0] as number))
      .map(({ number }) => number);
  };
  const whole = numbered.filter((one) => isWhole(one.values, spec));
  const points = whole.flatMap((one) => costsOf(one, spec.objectives) ?? []).length;
  const scored = whole.flatMap(({ number, ...one }) => {
    const costs = costsOf(one, spec.objectives);
    return costs ? [{ number, costs }] : [];
  });
  const first = scored.filter(({ number }) => number < spec.batch);
  const basis = first.length > 0 ? first : scored.slice(0, 1);
  const reference = spec.objectives.map((_, i) => Math.max(...basis.map(({ costs }) => costs[i] as number)));
  const box = spec.objectives.reduce(
    (product, { goal }, i) => product * ((reference[i] as number) - (goal === 'min' ? 0 : -1)),
    1,
  );
  const complete = numbered.filter(({ state }) => state === 'complete');
  const knows = (metric: string): boolean => complete.some((one) => one.values[metric] !== undefined);
  const lacked = lackedDevices(numbered as unknown as TrialRecord[], spec);
  const missing = numbered.flatMap((one) => lacked(one as unknown as TrialRecord));
  return {
    counts: trialStates.map((state) => trials.filter((one) => one.state === state).length),
    told: trials.filter(({ told }) => told).length,
    joint: frontOf(whole, spec.objectives),
    hypervolume:
      points === 0 || spec.objectives.length < 2 || !(box > 0)
        ? 0
        : hypervolume(
            scored.map(({ costs }) => costs),
            reference,
          ) / box,
    devices: spec.devices.map((id, index) => ({
      deviceId: id as DeviceId,
      measured: trials.filter((one) => hasCosts(one.values, spec, index)).length,
      missing: missing.filter((one) => one === index).length,
    })),
    fronts:
      spec.devices.length < 2
        ? []
        : spec.devices.map((id, index) => {
            const own = index === 0 ? 'accuracy' : `accuracy@${id}`;
            const name = knows(own) ? own : knows('floatAccuracy') ? 'floatAccuracy' : 'accuracy';
            const objectives = spec.objectives
              .map((one) => (one.metric === 'accuracy' ? { ...one, metric: name } : one))
              .filter(({ metric }) => {
                const at = metric.split('@')[1];
                const place =
                  at !== undefined
                    ? spec.devices.indexOf(at)
                    : /^(latencyUs|cycles|peak)/.test(metric)
                      ? 0
                      : index;
                return place === index && !(metric === 'accuracy' && index > 0 && knows('floatAccuracy'));
              });
            return { objectives, numbers: frontOf(complete, objectives) };
          }),
  };
}

/** Throws where a standing is not what its trials say. */
function requireSame(standing: Standing, trials: readonly Given[], spec: StudySpec): void {
  const direct = directly(trials, spec);
  const gap = Math.abs(standing.hypervolume - direct.hypervolume);
  deepStrictEqual(
    {
      counts: trialStates.map((state) => standing.count(state)),
      trials: standing.trials,
      told: standing.told,
      joint: standing.jointFront,
      size: standing.frontSize,
      devices: standing.coverage,
      fronts: standing.deviceFronts,
      hypervolume: gap < 1e-9 ? direct.hypervolume : standing.hypervolume,
    },
    { ...direct, trials: trials.length, size: direct.joint.length },
  );
}

t.test('a standing that grew piece by piece is what all trials at once say', async (t) => {
  for (const spec of specs)
    fc.assert(
      fc.property(
        fc.array(trial, { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (trials, lengths) => {
          const standing = new Standing(spec);
          for (const piece of piecesOf(trials, lengths)) standing.add(piece);
          requireSame(standing, trials, spec);
        },
      ),
      { numRuns: 150 },
    );
  t.pass('for every drawn study');
});

/** Sealed pieces of five trials each, and values: what standings read. */
class Sealed {
  #pieces: { readonly piece: TrialColumns; readonly revision: number }[] = [];
  #revision = 0;
  open: TrialColumns | null = null;
  readonly values = new Map<string, Json>();
  /** How many sealed pieces were read. */
  read = 0;

  put(piece: TrialColumns): void {
    this.#pieces[piece.from / 5] = { piece, revision: ++this.#revision };
  }

  trialsSince = async (_: StudyId, seal: TrialSeal | null): Promise<TrialsSince> => {
    const all = this.#pieces;
    const isWhole =
      seal === null || all.slice(0, seal.pieces).some(({ revision }) => revision > seal.revision);
    const sealed = all.slice(isWhole ? 0 : seal.pieces).map(({ piece }) => piece);
    this.read += sealed.length;
    // Questions at the same time come between each other.
    await Promise.resolve();
    return { seal: { pieces: all.length, revision: this.#revision }, sealed, isWhole, open: this.open };
  };
  value = async (key: string): Promise<Json | undefined> => this.values.get(key);
  setValue = async (key: string, value: Json): Promise<void> => {
    this.values.set(key, JSON.parse(JSON.stringify(value)));
  };
}

t.test(
  'what is asked between two pieces, after one has changed, and after a restart is right too',
  async (t) => {
    const id = 'study-1' as StudyId;
    let goneOn = 0;
    for (const spec of specs)
      await fc.assert(
        fc.asyncProperty(
          fc.array(trial, { minLength: 12, maxLength: 60, size: 'max' }),
          fc.array(fc.record({ at: fc.nat(), trial }), { maxLength: 4 }),
          async (trials, changes) => {
            const store = new Sealed();
            const standings = new Standings(store);
            const pieces = piecesOf(trials, [5]);
            let added = 0;
            for (const piece of pieces) {
              added += piece.length;
              store.open = piece;
              requireSame(await standings.of(id, spec), trials.slice(0, added), spec);
              if (piece.length < 5) break;
              store.open = null;
              store.put(piece);
              const both = await Promise.all([standings.of(id, spec), standings.of(id, spec)]);
              for (const one of both) requireSame(one, trials.slice(0, added), spec);
            }
            const before = store.read;
            requireSame(await new Standings(store).of(id, spec), trials, spec);
            if (store.values.size > 0 && store.read - before < pieces.length) goneOn++;
            const now = [...trials];
            for (const { at, trial: changed } of changes) {
              const number = at % (5 * Math.floor(now.length / 5));
              now[number] = changed;
              const from = number - (number % 5);
              store.put(pieceOf(now.slice(from, from + 5), from));
              requireSame(await standings.of(id, spec), now, spec);
              requireSame(await new Standings(store).of(id, spec), now, spec);
            }
          },
        ),
        { numRuns: 15 },
      );
    t.ok(goneOn > 0, 'a restart goes on from what was stored');
  },
);

t.test('what was stored by another version, or is damaged, is made anew', async (t) => {
  const [spec] = specs as [StudySpec];
  const id = 'study-1' as StudyId;
  const trials = fc.sample(trial, { numRuns: 60, seed: 7 });
  const store = new Sealed();
  for (const piece of piecesOf(trials, [5])) store.put(piece);
  requireSame(await new Standings(store).of(id, spec), trials, spec);
  const [[key, stored]] = [...store.values] as [
    [string, { readonly version: number; readonly standing: object }],
  ];
  for (const other of [
    { ...stored, version: 99 },
    { ...stored, standing: { ...stored.standing, devices: [] } },
    'x',
    null,
  ]) {
    store.values.set(key, other as unknown as Json);
    requireSame(await new Standings(store).of(id, spec), trials, spec);
  }
  t.pass('and counts the same');
});

t.test('pages hold what fits, in order, each trial once', async (t) => {
  const limit: fc.Arbitrary<Limit> = fc.record({
    metric: fc.constantFrom(...metrics, 'none'),
    relation: fc.constantFrom('<=' as const, '>=' as const),
    bound: fc.integer({ min: 0, max: 5 }),
  });
  const order: fc.Arbitrary<TrialOrder> = fc.record({
    by: fc.constantFrom('number', ...metrics, 'none'),
    descending: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(trial, { maxLength: 60 }),
      fc.option(fc.subarray([...trialStates]), { nil: undefined }),
      fc.array(limit, { maxLength: 2 }),
      order,
      fc.integer({ min: 1, max: 7 }),
      fc.nat({ max: 12 }),
      (trials, states, limits, order, size, fromNumber) => {
        const pieces = piecesOf(trials, [7, 3]);
        const selection = { ...(states && { states }), limits, fromNumber };
        const fitting = trials
          .map((one, number) => ({ ...one, number }))
          .filter(
            (one) =>
              one.number >= fromNumber &&
              (states?.includes(one.state) ?? true) &&
              limits.every((bound) => keeps(one, bound)),
          );
        const key = (one: (typeof fitting)[number]): number => {
          const value = order.by === 'number' ? one.number : one.values[order.by];
          return value === undefined ? Number.POSITIVE_INFINITY : order.descending ? -value : value;
        };
        const wanted = fitting
          .toSorted((a, b) => (key(a) === key(b) ? a.number - b.number : key(a) < key(b) ? -1 : 1))
          .map(({ number }) => number);
        const found: number[] = [];
        for (let after: number | undefined; ; ) {
          const page = selectTrials(pieces, selection, { order, after, limit: size });
          found.push(...page.numbers);
          deepStrictEqual(page.total, wanted.length);
          if (!page.hasMore) break;
          after = page.numbers.at(-1);
        }
        deepStrictEqual(found, wanted);
        const known = fitting.filter(({ values }) => values.macs !== undefined);
        const columns = selectColumns(pieces, ['macs'], { ...selection, fromNumber: 0 }, 1000);
        deepStrictEqual(
          selectColumns(pieces, ['macs'], selection, 1000).numbers,
          known.map(({ number }) => number),
        );
        deepStrictEqual(
          columns.values[0],
          columns.numbers.map((number) => trials[number]?.values.macs),
        );
      },
    ),
    { numRuns: 300 },
  );
  t.pass('for every drawn study');
});
