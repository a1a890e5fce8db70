import {
  at,
  beats,
  type Candidate,
  foldsOf,
  type Known,
  knownAt,
  leastGain,
  lossOf,
  othersOf,
} from './candidate.js';
import { type CostModel, otherCandidate } from './other-models.js';
import { gaussianCandidate, gaussianOn, treesOn } from './residual-candidates.js';
import { all, type TableCandidate, tableCandidates } from './table-candidates.js';
import { transferView, type ViewData } from './view-data.js';

/** Odds against every view but the first of the space's own, which it names as the likeliest, and transfer. */
const viewOdds = 10;
/** From so many samples on the robust loss is the rule, and least squares must beat it by the same odds. */
const robustSamples = 25;
/** In standard errors of the paired difference of held-out errors. */
const curveDeviations = 2;
const ensembleDeviations = 1.5;
/** Below this many samples only tables compete. */
const curveSamples = 20;
/** At most so many are averaged. */
const ensembleSize = 3;

export interface Pick {
  readonly label: string;
  readonly members: readonly Candidate[];
  /** Held-out error of every candidate, by label. */
  readonly losses: ReadonlyMap<string, number>;
  /** Of the samples, by choices and models that did not see them. */
  readonly held: Float64Array;
}

/**
 * Chooses by cross-validation, from plain to dear: the view and loss of a table; whether a Gaussian process or boosted
 * trees on what the table leaves over pay; whether a Gaussian process alone does better; and whether an average of
 * several does (Breiman 1996, stacking with equal weights, which small samples carry). `models` compete as curves do.
 */
export function pick(views: readonly ViewData[], known: Known, models: readonly CostModel[] = []): Pick {
  const n = known.y.length;
  const tables = views.flatMap((view) => tableCandidates(view, known));
  const likeliest = views.find(({ name }) => name !== transferView);
  const table = likeliestTable(tables, likeliest, known, all(n));
  // Curves are tried on the table's own view and on the richest: a fit is to take a blink.
  const richest = views.reduce((a, b) => (b.x.columns > a.x.columns ? b : a));
  const others =
    n < curveSamples
      ? []
      : [...new Set([table.view, richest])].flatMap((view) => [
          ...gaussianOn(table, view, known),
          ...gaussianCandidate(view, known),
          ...(view === richest ? treesOn(table, view, known) : []),
          ...models.flatMap((model) => otherCandidate(model, view, known)),
        ]);
  const select = (rows: readonly number[]): Candidate[] => {
    const some = knownAt(known, rows);
    const first = likeliestTable(tables, likeliest, known, rows);
    const loss = ({ held }: Candidate): number => lossOf(at(held, rows), some);
    let single: Candidate = first;
    for (const candidate of [...others].sort((a, b) => loss(b) - loss(a)))
      if (
        beats(at(candidate.held, rows), at(first.held, rows), some, curveDeviations) &&
        (single === first || loss(candidate) < loss(single))
      )
        single = candidate;
    return ensemble(single, [...tables, ...others], known, rows);
  };
  const members = select(all(n));
  return {
    label: members.map(({ label }) => label).join(' + '),
    members,
    losses: new Map([...tables, ...others].map((c) => [c.label, lossOf(c.held, known)])),
    held: heldOutOfChoice(n, select),
  };
}

/**
 * Held-out predictions of the choice itself: for each fold by what would have been chosen without it. The best of many
 * candidates looks better on the samples that chose it than on any others (Cawley and Talbot 2010).
 */
function heldOutOfChoice(n: number, select: (rows: readonly number[]) => readonly Candidate[]): Float64Array {
  const out = new Float64Array(n);
  for (const fold of foldsOf(n)) {
    const held = average(select(othersOf(fold, n)).map((member) => member.held));
    for (const row of fold) out[row] = held[row] as number;
  }
  return out;
}

function likeliestTable(
  tables: readonly TableCandidate[],
  likeliest: ViewData | undefined,
  known: Known,
  rows: readonly number[],
): TableCandidate {
  const n = rows.length;
  const some = knownAt(known, rows);
  return tables
    .map((candidate) => ({
      candidate,
      odds:
        evidence(lossOf(at(candidate.held, rows), some), n) -
        (candidate.options.loss === 'squares' && known.y.length >= robustSamples ? Math.log(viewOdds) : 0) -
        (candidate.view === likeliest || candidate.view.name === transferView ? 0 : Math.log(viewOdds)),
    }))
    .reduce((a, b) => (b.odds > a.odds ? b : a)).candidate;
}

/** Logarithm of the likelihood under Laplace errors of the held-out size. */
const evidence = (loss: number, n: number): number => -n * Math.log(Math.max(loss, leastGain));

/** Adds, one at a time, the candidate whose share in the average lowers the held-out error most, if beyond chance. */
function ensemble(
  first: Candidate,
  others: readonly Candidate[],
  known: Known,
  rows: readonly number[],
): Candidate[] {
  const some = knownAt(known, rows);
  const members = [first];
  while (members.length < ensembleSize) {
    const held = members.map((m) => at(m.held, rows));
    const now = average(held);
    const next = others
      .filter((c) => !members.includes(c))
      .map((c) => ({ c, held: average([...held, at(c.held, rows)]) }))
      .filter((option) => beats(option.held, now, some, ensembleDeviations))
      .reduce<{ c: Candidate; held: Float64Array } | undefined>(
        (a, b) => (a && lossOf(a.held, some) <= lossOf(b.held, some) ? a : b),
        undefined,
      );
    if (!next) return members;
    members.push(next.c);
  }
  return members;
}

export const average = (lists: readonly Float64Array[]): Float64Array =>
  (lists[0] as Float64Array).map(
    (_, i) => lists.reduce((sum, list) => sum + (list[i] as number), 0) / lists.length,
  );
