import { signal } from '@preact/signals';
import { fetchSpecialisation, fetchSpecialisations, fetchStudy } from './api.js';
import type { News } from './events.js';
import { inTurn, paced } from './loading.js';
import type { Specialisation, SpecialisationSummary, StudySummary } from './wire.js';

export const specialisations = signal<readonly SpecialisationSummary[]>([]);
export const specialisationId = signal<string | undefined>(undefined);
/** The open one, and how far its studies are, by their ids. */
export const specialisation = signal<
  { readonly detail: Specialisation; readonly studies: Readonly<Record<string, StudySummary>> } | undefined
>(undefined);

export const loadSpecialisations = inTurn(async () => {
  specialisations.value = (await fetchSpecialisations()).toSorted((a, b) => b.createdMs - a.createdMs);
});

export const loadSpecialisation = inTurn(async () => {
  const id = specialisationId.value;
  if (id === undefined) return;
  const detail = await fetchSpecialisation(id);
  const known = specialisation.value?.detail.id === id ? specialisation.value.studies : {};
  const studies = await Promise.all(
    studiesOf(detail).map(async (study) => {
      const before = known[study];
      return [study, before && hasEnded(before) ? before : await fetchStudy(study)] as const;
    }),
  );
  // The user may have gone elsewhere meanwhile.
  if (specialisationId.value === id) specialisation.value = { detail, studies: Object.fromEntries(studies) };
});

const specialisationSoon = paced(loadSpecialisation);

export function openSpecialisation(id: string | undefined): void {
  specialisationId.value = id;
  specialisation.value = undefined;
  void loadSpecialisation();
}

/** Loads what these topics of events have news of. */
export function hearOfSpecialisations(topics: News): void {
  if ([...topics.keys()].some((topic) => topic.startsWith('specialisation.'))) void loadSpecialisations();
  const studies = specialisation.value ? studiesOf(specialisation.value.detail) : [];
  const mine = [`specialisation.${specialisationId.value}`, ...studies.map((study) => `study.${study}`)];
  if (mine.some((topic) => topics.has(topic))) specialisationSoon();
}

const studiesOf = ({ columns }: SpecialisationSummary): string[] => [
  ...new Set(columns.flatMap(({ search, finals }) => [search, finals]).filter((study) => study !== null)),
];

const hasEnded = ({ record: { state } }: StudySummary): boolean =>
  state === 'completed' || state === 'stopped';
