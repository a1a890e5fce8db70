import { signal } from '@preact/signals';
import { fetchFronts, fetchStudy, fetchTrials } from './api.js';
import type { EventData } from './events.js';
import { inTurn, paced } from './loading.js';
import { objectivesOf } from './objectives.js';
import { addToPoints, forgetPoints } from './points.js';
import type { FrontRow, Fronts, Objective, StudySummary, Trial } from './wire.js';

/** Trials that are listed at a time; the API has them all. */
const shownTrials = 200;
const newestFirst = '-number';

export const studyId = signal<string | undefined>(undefined);
export const summary = signal<StudySummary | undefined>(undefined);
const noFronts: Fronts = { front: [], devices: [] };
export const fronts = signal<Fronts>(noFronts);
/** The listed trials, in their order. */
export const trials = signal<readonly Trial[]>([]);
/** How many there are, of the state that is shown. */
export const trialsTotal = signal(0);
/** By `number` or a metric, descending with a minus before it. */
export const order = signal(newestFirst);
export const shownState = signal<Trial['state'] | undefined>(undefined);

/** An event of type `trial`, or of type `asked`. */
type TrialNews = Pick<Trial, 'number'> & Partial<Trial> & { readonly revised?: boolean };

/** What was heard of while the list was on its way: it may be older. */
let heardMeanwhile: TrialNews[] | undefined;

const loadSummary = async (): Promise<void> => {
  const id = studyId.value;
  if (id === undefined) return;
  const found = await fetchStudy(id);
  // The user may have gone elsewhere meanwhile.
  if (studyId.value === id) summary.value = found;
};

const loadFronts = async (): Promise<void> => {
  const id = studyId.value;
  if (id === undefined) return;
  const found = await fetchFronts(id);
  if (studyId.value === id) fronts.value = found;
};

const loadTrials = inTurn(async () => {
  const id = studyId.value;
  if (id === undefined) return;
  const heard: TrialNews[] = [];
  heardMeanwhile = heard;
  const how = { sort: order.value, state: shownState.value, limit: shownTrials };
  const page = await fetchTrials(id, how).finally(() => {
    heardMeanwhile = undefined;
  });
  if (studyId.value !== id) return;
  trials.value = page.trials;
  trialsTotal.value = page.total;
  applyToList(heard);
});

const summaryInTurn = inTurn(loadSummary);
const frontsInTurn = inTurn(loadFronts);
const summarySoon = paced(loadSummary);
const frontsSoon = paced(loadFronts);
const trialsSoon = paced(loadTrials, 2000);

export function loadStudy(): void {
  void summaryInTurn();
  void frontsInTurn();
  void loadTrials();
  forgetPoints();
}

export function openStudy(id: string | undefined): void {
  studyId.value = id;
  summary.value = undefined;
  trials.value = [];
  trialsTotal.value = 0;
  fronts.value = noFronts;
  order.value = newestFirst;
  shownState.value = undefined;
  loadStudy();
}

/** Lists the trials in another order, or other ones. */
export function listTrials(how: {
  readonly order?: string;
  readonly state?: Trial['state'] | undefined;
}): void {
  if (how.order !== undefined) order.value = how.order;
  if ('state' in how) shownState.value = how.state;
  void loadTrials();
}

/** Applies what the events of the open study say; looks at the API for what they do not say. */
export function hearOfStudy(events: readonly EventData[]): void {
  const news = events.flatMap(trialNews);
  if (events.some(({ type }) => type !== 'step' && type !== 'steps')) summarySoon();
  if (news.length === 0) return;
  addToPoints(news);
  if (news.some(mayEnterFront)) frontsSoon();
  if (heardMeanwhile) heardMeanwhile.push(...news);
  else applyToList(news);
}

function trialNews(event: EventData): TrialNews[] {
  if (event.type === 'trial') return [event as unknown as TrialNews];
  if (event.type !== 'asked') return [];
  const { numbers, notes } = event as unknown as { numbers: number[]; notes?: string[] };
  return numbers.map((number, i) => ({ number, note: notes?.[i] ?? '' }));
}

/** The newest trials follow the events; another order, or a choice of states, is asked for anew. */
function applyToList(news: readonly TrialNews[]): void {
  if (news.length === 0) return;
  if (order.value !== newestFirst || shownState.value !== undefined) {
    trialsSoon();
    return;
  }
  const byNumber = new Map(trials.value.map((trial) => [trial.number, trial]));
  for (const { revised: _, ...one } of news) {
    const known = byNumber.get(one.number);
    // One that is asked, and known: its end was heard of already.
    if (known && one.state === undefined) continue;
    byNumber.set(one.number, { ...(known ?? askedTrial), ...one });
  }
  const newest = [...byNumber.values()].sort((a, b) => b.number - a.number);
  trials.value = newest.slice(0, shownTrials);
  // Numbers have no gaps.
  trialsTotal.value = Math.max(trialsTotal.value, (newest[0]?.number ?? -1) + 1);
}

const askedTrial: Omit<Trial, 'number'> = {
  state: 'asked',
  told: false,
  note: '',
  reason: null,
  values: {},
  evidence: {},
};

/** Whether a trial may change a front: it does not where a member of each is better, and what it said before was less. */
function mayEnterFront({ state, values = {}, revised }: TrialNews): boolean {
  if (revised) return true;
  if (state !== 'complete') return false;
  const { front, devices } = fronts.value;
  const joint = { objectives: objectivesOf(summary.value?.record.spec), front };
  return [joint, ...devices].some(
    ({ objectives, front: rows }) =>
      objectives.some(({ metric }) => values[metric] === undefined) ||
      !rows.some((row) => isBetter(row, values, objectives)),
  );
}

/** Nowhere worse, and somewhere better. */
function isBetter(row: FrontRow, values: Trial['values'], objectives: readonly Objective[]): boolean {
  const gaps = objectives.map(
    ({ metric, goal }) =>
      (goal === 'min' ? 1 : -1) * ((values[metric] ?? 0) - (row.values[metric] ?? Number.NaN)),
  );
  return gaps.every((gap) => gap >= 0) && gaps.some((gap) => gap > 0);
}
