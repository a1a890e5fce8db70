import { signal } from '@preact/signals';
import {
  fetchDevices,
  fetchFigures,
  fetchFronts,
  fetchPredictor,
  fetchPredictors,
  fetchStudies,
  fetchStudy,
  fetchTrials,
} from './api.js';
import { followEvents } from './events.js';
import { attempt, inTurn } from './loading.js';
import {
  hearOfSpecialisations,
  loadSpecialisation,
  loadSpecialisations,
  openSpecialisation,
} from './specialisation-state.js';
import type {
  Device,
  Fronts,
  Predictor,
  PredictorDetail,
  PredictorFigures,
  Study,
  StudySummary,
  Trial,
} from './wire.js';

export const devices = signal<readonly Device[]>([]);
export const studies = signal<readonly Study[]>([]);
export const studyId = signal<string | undefined>(undefined);
export const summary = signal<StudySummary | undefined>(undefined);
export const trials = signal<readonly Trial[]>([]);
const noFronts: Fronts = { front: [], devices: [] };
export const fronts = signal<Fronts>(noFronts);
export const predictors = signal<readonly Predictor[]>([]);
export const predictorId = signal<string | undefined>(undefined);
/** What the page shows of the open one. */
export const predictor = signal<
  { readonly detail: PredictorDetail; readonly figures: PredictorFigures } | undefined
>(undefined);

const loadDevices = inTurn(async () => {
  devices.value = await fetchDevices();
});
const loadStudies = inTurn(async () => {
  studies.value = (await fetchStudies()).toSorted((a, b) => b.createdMs - a.createdMs);
});

const loadPredictors = () =>
  attempt(async () => {
    predictors.value = await fetchPredictors();
  });

const loadPredictor = () =>
  attempt(async () => {
    const id = predictorId.value;
    if (id === undefined) return;
    const [detail, figures] = await Promise.all([fetchPredictor(id), fetchFigures(id)]);
    if (predictorId.value === id) predictor.value = { detail, figures };
  });

/** Only what can have changed: told trials stay as they are, unless they lack a device that may yet catch up. */
const loadStudy = inTurn(async () => {
  const id = studyId.value;
  if (id === undefined) return;
  const known = trials.value;
  const isOpen = ({ told, state, reason }: Trial): boolean =>
    !told || (state === 'complete' && reason !== null);
  const firstOpen = known.find(isOpen)?.number ?? known.length;
  const [newSummary, newTrials, newFronts] = await Promise.all([
    fetchStudy(id),
    fetchTrials(id, firstOpen),
    fetchFronts(id),
  ]);
  // The user may have gone elsewhere meanwhile.
  if (studyId.value !== id) return;
  const kept = trials.value.filter(({ number }) => number < firstOpen);
  trials.value = [...kept, ...newTrials];
  summary.value = newSummary;
  fronts.value = newFronts;
});

function openFromAddress(): void {
  const [, kind, id] = /^#\/(studies|predictors|specialisations)\/([^/]+)$/.exec(location.hash) ?? [];
  const opened = id === undefined ? undefined : decodeURIComponent(id);
  studyId.value = kind === 'studies' ? opened : undefined;
  predictorId.value = kind === 'predictors' ? opened : undefined;
  openSpecialisation(kind === 'specialisations' ? opened : undefined);
  predictor.value = undefined;
  summary.value = undefined;
  trials.value = [];
  fronts.value = noFronts;
  void loadStudy();
  void loadPredictor();
}

export function startState(): void {
  addEventListener('hashchange', openFromAddress);
  openFromAddress();
  void loadDevices();
  void loadStudies();
  void loadPredictors();
  void loadSpecialisations();
  followEvents({
    news: (topics) => {
      if (topics.has('devices') || topics.has('measurements')) void loadDevices();
      if (topics.has('predictors')) {
        void loadPredictors();
        void loadPredictor();
      }
      hearOfSpecialisations(topics);
      if ([...topics].some((topic) => topic.startsWith('study.'))) void loadStudies();
      if (studyId.value !== undefined && topics.has(`study.${studyId.value}`)) void loadStudy();
    },
    afresh: () => {
      void loadDevices();
      void loadStudies();
      void loadPredictors();
      void loadStudy();
      void loadPredictor();
      void loadSpecialisations();
      void loadSpecialisation();
    },
  });
}
