import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Store } from '../store/contract.js';
import { mayPass } from '../store/late-writes.js';
import type { RolloutDevice, RolloutRecord } from '../store/rollout-contract.js';
import { asJson } from './device-body.js';
import type { DeviceSteps } from './device-steps.js';
import { requestOf } from './request.js';

export interface WaveWorkOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly life: AbortSignal;
  readonly steps: DeviceSteps;
  readonly pool: Pick<DevicePool, 'presence'>;
}

export interface WaveOrders {
  readonly hold: AbortController;
  readonly cut: AbortSignal;
}

const isEnded = ({ step }: RolloutDevice): boolean =>
  step === 'live' || step === 'restored' || step === 'failed';
const isBad = ({ step }: RolloutDevice): boolean => step === 'restored' || step === 'failed';

/** Errors that say that the network does not suit the device. */
const unfit: ReadonlySet<string> = new Set([
  'NETWORK_TOO_LARGE',
  'NETWORK_REJECTED',
  'DEVICE_OUT_OF_MEMORY',
  'OPERATOR_UNSUPPORTED',
  'QUANTISATION_FAILED',
  'SHAPE_UNKNOWN',
  'REQUEST_INVALID',
]);

/** What a rollout does in each of its states. Each answers whether there is more to do. */
export class WaveWork {
  readonly #options: WaveWorkOptions;

  constructor(options: WaveWorkOptions) {
    this.#options = options;
  }

  /**
   * Before the first wave: whether the network fits each device that is here. One that it does not fit refuses the rollout, with the
   * limit. A device that is away, or fails otherwise, is asked again when its turn comes.
   */
  async check(rollout: RolloutRecord, orders: WaveOrders): Promise<boolean> {
    const { store, steps, pool } = this.#options;
    const { atOnce, deadlineS } = requestOf(rollout.request);
    const refusals: { readonly device: RolloutDevice; readonly error: HildaError }[] = [];
    const devices = await store.rolloutDevices(rollout.id);
    const limits = { signal: orders.hold.signal, withinMs: 1000 * deadlineS };
    await this.#each(devices, atOnce, async (device) => {
      if (orders.hold.signal.aborted || !pool.presence(device.deviceId).present) return;
      try {
        const body = asJson(await steps.rehearse(rollout, device, limits));
        await store.stepDevice(rollout.id, device.deviceId, { step: 'planned', body });
      } catch (thrown) {
        const error = asHildaError(thrown);
        this.#options.life.throwIfAborted();
        if (mayPass(error)) throw error;
        if (unfit.has(error.code) || error.details.ability !== undefined) refusals.push({ device, error });
        // Under another key: the answer to this one is known.
        else
          await store.stepDevice(rollout.id, device.deviceId, {
            step: 'planned',
            attempt: device.attempt + 1,
          });
      }
    });
    if (orders.hold.signal.aborted) return true;
    const [first] = refusals;
    if (!first) {
      await store.setRollout(rollout.id, ['checking'], { state: 'running' });
      return true;
    }
    const named = refusals.map(({ device: { deviceId }, error: { code, message } }) => ({
      deviceId,
      code,
      message,
    }));
    for (const { device, error } of refusals)
      await store.stepDevice(rollout.id, device.deviceId, {
        step: 'planned',
        reason: toErrorDocument(error),
      });
    const some = named.slice(0, 3).map(({ deviceId, message }) => `${deviceId}: ${message}`);
    const reason = toErrorDocument(
      new HildaError(
        first.error.code,
        `the network does not fit ${named.length} of ${devices.length} devices: ${some.join('; ')}`,
        {
          hint: first.error.hint,
          details: { ...first.error.details, devices: named },
        },
      ),
    );
    await store.setRollout(rollout.id, ['checking'], { state: 'refused', reason });
    return false;
  }

  /** The devices of the present wave; then the next wave, the end, or a stop by the rule. */
  async wave(rollout: RolloutRecord, orders: WaveOrders): Promise<boolean> {
    const { store, clock, life } = this.#options;
    const { id, wave, waitUntilMs } = rollout;
    const { waves, pauseS, atOnce } = requestOf(rollout.request);
    const devices = await store.rolloutDevices(id);
    if (await this.#stop(rollout, devices)) return true;
    const waitMs = (waitUntilMs ?? 0) - clock.nowMs();
    if (waitMs > 0) {
      const either = AbortSignal.any([life, orders.hold.signal]);
      await clock.sleep(Math.min(waitMs, 1000 * pauseS), { signal: either }).catch(() => {});
      life.throwIfAborted();
      if (orders.hold.signal.aborted) return this.#held(id);
    }
    const left = devices.filter((device) => device.wave <= wave && !isEnded(device));
    if (left.length === 0) {
      const isLast = wave + 1 >= waves.length;
      const to = isLast
        ? ({ state: 'done' } as const)
        : { wave: wave + 1, waitUntilMs: pauseS > 0 ? clock.nowMs() + 1000 * pauseS : null };
      await store.setRollout(id, ['running'], to);
      return !isLast;
    }
    await this.#advance(rollout, left, atOnce, orders);
    return orders.hold.signal.aborted ? this.#held(id) : true;
  }

  /** Devices that a former daemon had begun go on to their ends. */
  async settle(rollout: RolloutRecord, orders: WaveOrders): Promise<boolean> {
    const begun = (await this.#options.store.rolloutDevices(rollout.id)).filter(
      (device) => device.step !== 'planned' && !isEnded(device),
    );
    orders.hold.abort();
    await this.#advance(rollout, begun, requestOf(rollout.request).atOnce, orders);
    return false;
  }

  /** Everything that is at work, or went live and is not kept, is put back. */
  async abort(rollout: RolloutRecord, orders: WaveOrders): Promise<boolean> {
    const { store, steps } = this.#options;
    const { id, keep } = rollout;
    const devices = (await store.rolloutDevices(id)).filter(
      ({ step }) =>
        step !== 'planned' && step !== 'restored' && step !== 'failed' && !(keep && step === 'live'),
    );
    const obeyed = { hold: orders.hold.signal, cut: orders.cut };
    await this.#each(devices, requestOf(rollout.request).atOnce, async (device) => {
      if (device.step === 'live') await steps.putBack(rollout, device, obeyed);
      else await steps.advance(rollout, device, obeyed);
    });
    await store.setRollout(id, ['aborting'], { state: 'aborted' });
    return false;
  }

  /** Whether there is more to do though no device may begin: it was stopped by its rule, aborted, or resumed meanwhile. */
  async #held(id: string): Promise<boolean> {
    const { state, counts, forgiven, request } = await this.#options.store.rollout(id);
    if (state !== 'running') return state === 'aborting';
    return (counts.restored ?? 0) + (counts.failed ?? 0) - forgiven > allowed(request, counts);
  }

  async #advance(
    rollout: RolloutRecord,
    devices: readonly RolloutDevice[],
    atOnce: number,
    { hold, cut }: WaveOrders,
  ): Promise<void> {
    const { store, steps } = this.#options;
    const most = allowed(rollout.request, rollout.counts);
    let failed = (await store.rolloutDevices(rollout.id)).filter(isBad).length - rollout.forgiven;
    await this.#each(devices, atOnce, async (device) => {
      const end = await steps.advance(rollout, device, { hold: hold.signal, cut });
      if (isBad(end) && !isBad(device)) failed++;
      if (failed > most) hold.abort();
    });
  }

  /** Stops the rollout where more devices failed than its rule allows; whether it did. */
  async #stop(
    { id, request, counts, forgiven }: RolloutRecord,
    devices: readonly RolloutDevice[],
  ): Promise<boolean> {
    const bad = devices.filter(isBad);
    const most = allowed(request, counts);
    if (bad.length - forgiven <= most) return false;
    const named = bad.map(({ deviceId, step, reason }) => ({
      deviceId,
      step,
      reason: reason?.message ?? null,
    }));
    const last = named.at(-1);
    const error = new HildaError(
      'ROLLOUT_STOPPED',
      `${bad.length} of ${devices.length} devices failed, ${most + forgiven} may: ${last?.deviceId}: ${last?.reason}`,
      { details: { rollout: id, devices: named } },
    );
    await this.#options.store.setRollout(id, ['running'], {
      state: 'stopped',
      reason: toErrorDocument(error),
    });
    return true;
  }

  async #each<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
    const waiting = [...items];
    const failures: unknown[] = [];
    const worker = async (): Promise<void> => {
      for (let item = waiting.shift(); item !== undefined && failures.length === 0; item = waiting.shift())
        await work(item).catch((thrown: unknown) => void failures.push(thrown));
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
    if (failures.length > 0) throw failures[0];
  }
}

/** How many devices may fail. */
function allowed(request: RolloutRecord['request'], counts: RolloutRecord['counts']): number {
  const { stop } = requestOf(request);
  if ('failed' in stop) return stop.failed;
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return Math.floor(stop.share * all + 1e-9);
}
