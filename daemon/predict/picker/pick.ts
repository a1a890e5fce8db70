import { beats, type Candidate, type FittedCandidate, leastGain, lossOf } from './candidate.js';
import { gaussianCandidate, gaussianOn, treesOn } from './residual-candidates.js';
import { tableCandidates } from './table-candidates.js';
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
  readonly held: Float64Array;
}

/**
 * Chooses by cross-validation, from plain to dear: the view and loss of a table; whether a Gaussian process or boosted
 * trees on what the table leaves over pay; whether a Gaussian process alone does better; and whether an average of
 * several does (Breiman 1996, stacking with equal weights, which small samples carry).
 */
export function pick(views: readonly ViewData[], y: Float64Array): Pick {
  const logY = y.map(Math.log);
  const loss = ({ held }: Candidate): number => lossOf(held, logY);
  const byLoss = (list: readonly Candidate[]): Candidate[] => [...list].sort((a, b) => loss(a) - loss(b));

  const tables = views.map((view) => tableCandidates(view, y, logY));
  const likeliest = views.find(({ name }) => name !== transferView);
  const table = tables
    .flat()
    .map((candidate) => ({
      candidate,
      odds:
        evidence(loss(candidate), y.length) -
        (candidate.options.loss === 'squares' && y.length >= robustSamples ? Math.log(viewOdds) : 0) -
        (candidate.view === likeliest || candidate.view.name === transferView ? 0 : Math.log(viewOdds)),
    }))
    .reduce((a, b) => (b.odds > a.odds ? b : a)).candidate;
  // Curves are tried on the table's own view and on the richest: a fit is to take a blink.
  const richest = views.reduce((a, b) => (b.x.columns > a.x.columns ? b : a));
  const curved = [...new Set([table.view, richest])];
  const others =
    y.length < curveSamples
      ? []
      : curved.flatMap((view) => [
          ...gaussianOn(table, view, logY),
          ...gaussianCandidate(view, logY),
          ...(view === richest ? treesOn(table, view, logY) : []),
        ]);
  let single: Candidate = table;
  for (const candidate of byLoss(others).reverse())
    if (
      beats(candidate.held, table.held, logY, curveDeviations) &&
      (single === table || loss(candidate) < loss(single))
    )
      single = candidate;
  const members = ensemble(single, [...tables.flat(), ...others], logY);
  return {
    label: members.map(({ label }) => label).join(' + '),
    members,
    losses: new Map([...tables.flat(), ...others].map((c) => [c.label, loss(c)])),
    held: average(members.map(({ held }) => held)),
  };
}

/** Logarithm of the likelihood under Laplace errors of the held-out size. */
const evidence = (loss: number, n: number): number => -n * Math.log(Math.max(loss, leastGain));

/** Adds, one at a time, the candidate whose share in the average lowers the held-out error most, if beyond chance. */
function ensemble(first: Candidate, others: readonly Candidate[], logY: Float64Array): Candidate[] {
  const members = [first];
  while (members.length < ensembleSize) {
    const held = members.map((m) => m.held);
    const now = average(held);
    const next = others
      .filter((c) => !members.includes(c))
      .map((c) => ({ c, held: average([...held, c.held]) }))
      .filter((option) => beats(option.held, now, logY, ensembleDeviations))
      .reduce<{ c: Candidate; held: Float64Array } | undefined>(
        (a, b) => (a && lossOf(a.held, logY) <= lossOf(b.held, logY) ? a : b),
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

export const buildAll = (members: readonly Candidate[]): FittedCandidate[] =>
  members.map((member) => member.build());
