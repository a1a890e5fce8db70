import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { targetKey } from '../core/target.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Jobs } from '../jobs/jobs.js';
import { mayPass } from '../store/late-writes.js';
import type { RolloutRecord, RolloutState } from '../store/rollout-contract.js';
import { DeviceSteps } from './device-steps.js';
import { parseRolloutSpec } from './request.js';
import { type ResolveParts, resolveRollout } from './resolve.js';
import { SelfTests } from './self-test.js';
import { StepJobs } from './step-jobs.js';
import { WaveWork } from './wave-work.js';

export interface RolloutsOptions extends Omit<ResolveParts, 'jobs'> {
  readonly jobs: Pick<Jobs, 'submit' | 'cancel' | 'devicesOf'>;
  readonly pool: Pick<DevicePool, 'presence'>;
  readonly clock: Clock;
  readonly onError?: (error: HildaError, place: string) => void;
}

/** Those that a daemon takes up when it starts. */
const open: readonly RolloutState[] = ['checking', 'running', 'paused', 'stopped', 'aborting'];
const storeAgainMs = 5000;

interface Orders {
  hold: AbortController;
  readonly cut: AbortController;
}

/**
 * Networks that go to many devices in waves. All that is known of a rollout is in the store before it is acted on: a daemon that
 * was killed goes on with what it finds, device by device.
 */
export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #life = new AbortController();
  readonly #work: WaveWork;
  /** By rollout: what it does now, one look after the other. */
  readonly #drives = new Map<string, Promise<void>>();
  readonly #orders = new Map<string, Orders>();

  constructor(options: RolloutsOptions) {
    this.#options = options;
    const { store, clock, jobs, pool, places } = options;
    const { signal: life } = this.#life;
    const step = new StepJobs({ jobs, pool, clock, life });
    const steps = new DeviceSteps({
      store,
      clock,
      jobs: step,
      tests: new SelfTests(places, life),
      life,
      targetOf: async (id: DeviceId) => targetKey((await store.device(id)).target),
    });
    this.#work = new WaveWork({ store, clock, life, steps, pool });
  }

  /** Takes up what a former daemon left. */
  async start(): Promise<void> {
    const { store } = this.#options;
    for (const { id } of (await store.rollouts({ states: open, limit: 10_000 })).reverse()) this.#wake(id);
  }

  /** What runs stays as its rows say, for the next daemon. */
  async stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await Promise.all(this.#drives.values());
  }

  /**
   * Begins a rollout; it is durable once this resolves. Throws what `resolveRollout` throws, and STATE_CONFLICT where a device is part
   * of another rollout that has not ended.
   */
  async begin(spec: unknown): Promise<RolloutRecord> {
    this.#life.signal.throwIfAborted();
    const { name, request, devices } = await resolveRollout(parseRolloutSpec(spec), this.#options);
    const stored = JSON.parse(JSON.stringify(request)) as Json;
    const record = await this.#options.store.addRollout({ name, request: stored, devices });
    this.#wake(record.id);
    return record;
  }

  /** No further device begins; those that began go on. Throws NOT_FOUND, STATE_CONFLICT. */
  async pause(id: string): Promise<RolloutRecord> {
    const record = await this.#options.store.setRollout(id, ['running'], { state: 'paused' });
    this.#orders.get(id)?.hold.abort();
    return record;
  }

  /** Goes on. Of a stopped one, the devices that failed are accepted. Throws NOT_FOUND, STATE_CONFLICT. */
  async resume(id: string): Promise<RolloutRecord> {
    const { store } = this.#options;
    const { state, counts } = await store.rollout(id);
    const record = await store.setRollout(id, ['paused', 'stopped'], {
      state: 'running',
      ...(state === 'stopped' && { forgiven: (counts.restored ?? 0) + (counts.failed ?? 0) }),
      reason: null,
    });
    this.#wake(id);
    return record;
  }

  /**
   * Ends it: devices at work are put back, and those that went live in it, too, unless they are kept. Throws NOT_FOUND, and
   * STATE_CONFLICT where it has ended.
   */
  async abort(id: string, { keep = false }: { readonly keep?: boolean } = {}): Promise<RolloutRecord> {
    const { store } = this.#options;
    const from: readonly RolloutState[] = ['checking', 'running', 'paused', 'stopped'];
    const record = await store.setRollout(id, from, { state: 'aborting', keep });
    const orders = this.#orders.get(id);
    orders?.hold.abort();
    orders?.cut.abort();
    this.#wake(id);
    return record;
  }

  /** Resolves once nothing is left to do for now: it ended, is paused, or stopped. */
  async settled(id: string): Promise<RolloutRecord> {
    await this.#drives.get(id);
    return this.#options.store.rollout(id);
  }

  #wake(id: string): void {
    const before = this.#drives.get(id) ?? Promise.resolve();
    const drive = before.then(() => this.#drive(id));
    this.#drives.set(id, drive);
    void drive.then(() => {
      if (this.#drives.get(id) !== drive) return;
      this.#drives.delete(id);
      this.#orders.delete(id);
    });
  }

  /** Does what its state asks for until that is nothing more. Never rejects. */
  async #drive(id: string): Promise<void> {
    const { store, clock, onError } = this.#options;
    const { signal: life } = this.#life;
    const orders = this.#orders.get(id) ?? { hold: new AbortController(), cut: new AbortController() };
    // An order of before a pause ended is over.
    orders.hold = new AbortController();
    this.#orders.set(id, orders);
    while (!life.aborted) {
      try {
        const record = await store.rollout(id);
        if (record.state === 'paused' || record.state === 'aborting') orders.hold.abort();
        if (record.state === 'aborting') orders.cut.abort();
        if (!(await this.#act(record, orders))) return;
      } catch (thrown) {
        if (life.aborted) return;
        const error = asHildaError(thrown);
        // Somebody paused or aborted it meanwhile: its state says what is next.
        if (error.code === 'STATE_CONFLICT') continue;
        onError?.(error, id);
        if (!mayPass(error)) return this.#fail(id, error);
        await clock.sleep(storeAgainMs, { signal: life }).catch(() => {});
      }
    }
  }

  /** Whether there is more to do. */
  #act(record: RolloutRecord, { hold, cut }: Orders): Promise<boolean> {
    const orders = { hold, cut: cut.signal };
    switch (record.state) {
      case 'checking':
        return this.#work.check(record, orders);
      case 'running':
        return this.#work.wave(record, orders);
      case 'aborting':
        return this.#work.abort(record, orders);
      case 'paused':
      case 'stopped':
        return this.#work.settle(record, orders);
      default:
        return Promise.resolve(false);
    }
  }

  async #fail(id: string, error: HildaError): Promise<void> {
    const to = { state: 'stopped', reason: toErrorDocument(error) } as const;
    await this.#options.store.setRollout(id, ['checking', 'running'], to).catch(() => {});
  }
}
