import type {
  Columns,
  Device,
  Fronts,
  Invitation,
  Predictor,
  PredictorDetail,
  PredictorFigures,
  Problem,
  Specialisation,
  SpecialisationSummary,
  Study,
  StudySummary,
  Trial,
} from './wire.js';

/** The daemon's public API, from the page's own address. */

const noSession =
  'This browser has no session with the daemon, or it has ended. Run `hilda open` on the daemon’s machine: its link opens this page with a new one.';

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(`/v1${path}`, init);
  if (response.status === 401) throw new Error(noSession);
  const body: unknown = await response.json();
  if (!response.ok) throw new Error((body as Problem).detail);
  return body as T;
}

const get = <T>(path: string): Promise<T> => call<T>(path);

/** A token for one page to join with, in addresses to open. */
export const invite = (kind: 'page' | 'agent') =>
  call<Invitation>('/joiners/invite', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind }),
  });

export const fetchDevices = async () => (await get<{ devices: Device[] }>('/devices')).devices;
export const fetchPredictors = async () => (await get<{ predictors: Predictor[] }>('/predictors')).predictors;
export const fetchPredictor = (id: string) => get<PredictorDetail>(`/predictors/${encodeURIComponent(id)}`);
export const fetchFigures = (id: string) =>
  get<PredictorFigures>(`/predictors/${encodeURIComponent(id)}/figures`);
export const fetchSpecialisations = async () =>
  (await get<{ specialisations: SpecialisationSummary[] }>('/specialisations')).specialisations;
export const fetchSpecialisation = (id: string) =>
  get<Specialisation>(`/specialisations/${encodeURIComponent(id)}`);
export const fetchStudies = async () => (await get<{ studies: Study[] }>('/studies')).studies;
export const fetchStudy = (id: string) => get<StudySummary>(`/studies/${encodeURIComponent(id)}`);
export const fetchFronts = (id: string) => get<Fronts>(`/studies/${encodeURIComponent(id)}/front`);

/** One page of trials, in any order. */
export function fetchTrials(
  id: string,
  {
    sort,
    state,
    limit,
  }: { readonly sort: string; readonly state: Trial['state'] | undefined; readonly limit: number },
): Promise<{ readonly trials: readonly Trial[]; readonly total: number }> {
  const query = new URLSearchParams({ sort, limit: String(limit), ...(state && { state }) });
  return get(`/studies/${encodeURIComponent(id)}/trials?${query}`);
}

/** Metrics of the complete trials that know them all, page by page. */
export async function* fetchColumns(id: string, metrics: readonly string[]): AsyncGenerator<Columns> {
  const query = new URLSearchParams({ metrics: metrics.join(','), state: 'complete' });
  let next: string | null = `/studies/${encodeURIComponent(id)}/columns?${query}`;
  while (next !== null) {
    const page: Columns & { readonly next: string | null } = await get(next);
    yield page;
    next = page.next?.replace(/^\/v1/, '') ?? null;
  }
}
