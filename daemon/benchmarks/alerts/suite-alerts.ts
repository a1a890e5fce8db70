import type { Json } from '../../core/json.js';
import type { Store } from '../../store/contract.js';

export interface SuiteAlertsOptions {
  readonly store: Pick<Store, 'raiseNotice' | 'resolveNotices'>;
  /** An alert was raised, or is over. */
  readonly onAlerts: () => void;
}

/** Broken limits in one alert. */
const most = 20;

/** Alerts of scheduled suites: one for each broken run, until somebody acknowledges one or a run passes. */
export class SuiteAlerts {
  readonly #options: SuiteAlertsOptions;

  constructor(options: SuiteAlertsOptions) {
    this.#options = options;
  }

  async broken(schedule: string, run: string, limits: readonly Json[]): Promise<void> {
    const count = limits.length === 1 ? 'a limit' : `${limits.length} limits`;
    const raised = await this.#options.store.raiseNotice({
      kind: 'suite',
      subject: schedule,
      deviceId: null,
      text: `Run ${run} of the schedule ${schedule} broke ${count}.`,
      detail: { run, broken: limits.slice(0, most) },
    });
    if (raised) this.#options.onAlerts();
  }

  async passed(schedule: string): Promise<void> {
    if ((await this.#options.store.resolveNotices('suite', schedule)) > 0) this.#options.onAlerts();
  }
}
