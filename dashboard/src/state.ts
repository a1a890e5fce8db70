import { signal } from '@preact/signals';
import { fetchDevices, fetchFigures, fetchPredictor, fetchPredictors, fetchStudies } from './api.js';
import { type EventData, followEvents } from './events.js';
import { attempt, inTurn, paced } from './loading.js';
import {
  hearOfSpecialisations,
  loadSpecialisation,
  loadSpecialisations,
  openSpecialisation,
} from './specialisation-state.js';
import { hearOfStudy, loadStudy, openStudy, studyId } from './study-state.js';
import type { Device, Predictor, PredictorDetail, PredictorFigures, Study } from './wire.js';

export const devices = signal<readonly Device[]>([]);
export const studies = signal<readonly Study[]>([]);
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

const devicesSoon = paced(loadDevices);
const studiesSoon = paced(loadStudies);

/** A study's new state is in its event; a study that is not listed yet is looked for. */
function hearOfState(event: EventData): void {
  if (event.type !== 'state') return;
  const { studyId: id, ...news } = event as unknown as Pick<Study, 'name' | 'state' | 'reason'> & {
    readonly studyId: string;
  };
  const known = studies.value.find((study) => study.id === id);
  if (known)
    studies.value = studies.value.map((study) => (study === known ? { ...study, ...pick(news) } : study));
  else studiesSoon();
}

const pick = ({ name, state, reason }: Pick<Study, 'name' | 'state' | 'reason'>) => ({ name, state, reason });

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

function openFromAddress(): void {
  const [, kind, id] = /^#\/(studies|predictors|specialisations)\/([^/]+)$/.exec(location.hash) ?? [];
  const opened = id === undefined ? undefined : decodeURIComponent(id);
  predictorId.value = kind === 'predictors' ? opened : undefined;
  openSpecialisation(kind === 'specialisations' ? opened : undefined);
  predictor.value = undefined;
  openStudy(kind === 'studies' ? opened : undefined);
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
      if (topics.has('devices') || topics.has('measurements')) devicesSoon();
      if (topics.has('predictors')) {
        void loadPredictors();
        void loadPredictor();
      }
      hearOfSpecialisations(topics);
      for (const [topic, events] of topics)
        if (topic.startsWith('study.')) for (const event of events) hearOfState(event);
      hearOfStudy(topics.get(`study.${studyId.value}`) ?? []);
    },
    afresh: () => {
      void loadDevices();
      void loadStudies();
      void loadPredictors();
      loadStudy();
      void loadPredictor();
      void loadSpecialisations();
      void loadSpecialisation();
    },
  });
}
