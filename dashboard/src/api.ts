import type {
  DeviceView,
  FrontRowView,
  HealthView,
  ProblemDocument,
  StudySummaryView,
  StudyView,
  TrialView,
} from '../../daemon/api/schemas.js';

/** The daemon's public API, from the page's own address. */

async function get<T>(path: string): Promise<T> {
  const response = await fetch(`/v1${path}`);
  const body: unknown = await response.json();
  if (!response.ok) throw new Error((body as ProblemDocument).detail);
  return body as T;
}

export const fetchHealth = () => get<HealthView>('/health');
export const fetchDevices = async () => (await get<{ devices: DeviceView[] }>('/devices')).devices;
export const fetchStudies = async () => (await get<{ studies: StudyView[] }>('/studies')).studies;
export const fetchStudy = (id: string) => get<StudySummaryView>(`/studies/${encodeURIComponent(id)}`);
export const fetchFront = async (id: string) =>
  (await get<{ front: FrontRowView[] }>(`/studies/${encodeURIComponent(id)}/front`)).front;
export const fetchTrials = async (id: string, from: number) =>
  (await get<{ trials: TrialView[] }>(`/studies/${encodeURIComponent(id)}/trials?from=${from}&limit=10000`))
    .trials;
