import type { Evaluator } from '../evaluate/contract.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Jobs } from '../jobs/jobs.js';
import type { Protocol } from '../measure/protocol.js';
import type { Space } from '../search/spaces/contract.js';
import type { Store } from '../store/contract.js';
import type { Absences } from './absences.js';
import type { StudySpec } from './spec.js';

/** What every trial of a study works with. */
export interface TrialContext {
  readonly spec: StudySpec;
  readonly space: Space;
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'presence' | 'discover'>;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly evaluator: Evaluator;
  readonly protocol: Protocol;
  /** The study's devices that are not there. */
  readonly absences: Absences;
  /** On devices that others wait for, too: see `JobRequest`. */
  readonly priority?: number;
  /** Told of each step, so that a watcher sees life inside a long trial. */
  readonly onStep?: (step: string) => void;
}
