/** `hilda`: a client of a running daemon, its events, errors, and the shapes of what it answers. */
export { DaemonClient } from '../api/client.js';
export type { JobView } from '../api/job-schemas.js';
export type {
  EventView,
  FrontRowView,
  FrontsView,
  HealthView,
  StudySummaryView,
  StudyView,
  TrialView,
} from '../api/schemas.js';
export { type WatchOptions, watchEvents } from '../api/watch.js';
export { type Clock, systemClock } from '../core/clock.js';
export { type ErrorCode, errorTable, HildaError } from '../core/errors.js';
export type { Counts, Latency, Measurement, Memory, OperatorCost } from '../core/measurement.js';
export type { Target } from '../core/target.js';
