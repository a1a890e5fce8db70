import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Deployment, Rehearsal } from '../devices/contract.js';
import { deployedTo } from '../jobs/deployments.js';
import type { JobWork } from '../jobs/job.js';
import { loadProtocol } from '../measure/protocols.js';
import type { Store } from '../store/contract.js';
import { mayPass } from '../store/late-writes.js';
import type { RolloutDevice, RolloutRecord, RolloutStep, RunningRecord } from '../store/rollout-contract.js';
import { asJson, bodyOf, type DeviceBody, type RunningBody } from './device-body.js';
import { brokenPromise } from './promises.js';
import { type Promised, type RolloutRequest, requestOf } from './request.js';
import { isLost, restoreDevice } from './restore-device.js';
import { assertClose, assertEqual, type PlainAnswer, type SelfTests } from './self-test.js';
import { type Limits, type StepJobs, stepJob } from './step-jobs.js';

export interface DeviceStepsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly jobs: StepJobs;
  readonly tests: SelfTests;
  readonly life: AbortSignal;
  readonly targetOf: (device: DeviceId) => Promise<string>;
}

export interface Orders {
  /** Aborts where no further device is to begin; one that began goes on. */
  readonly hold: AbortSignal;
  /** Aborts where devices that began are to be put back. */
  readonly cut: AbortSignal;
}

const isOver = (step: RolloutStep): boolean => step === 'live' || step === 'restored' || step === 'failed';
/** A job that ended with its daemon, or that somebody cancelled, is begun anew so often. */
const mostLost = 5;
const storeAgainMs = 5000;

/**
 * The way of one device: planned, deploying, testing, measuring, live; or rolling-back, and restored or failed. Each step is
 * written before it begins, and each is safe to begin again: its jobs have keys.
 */
export class DeviceSteps {
  readonly #options: DeviceStepsOptions;

  constructor(options: DeviceStepsOptions) {
    this.#options = options;
  }

  /** Goes on until the device is live, restored or failed, or until it may not begin. Throws where the daemon stops. */
  async advance(rollout: RolloutRecord, device: RolloutDevice, orders: Orders): Promise<RolloutDevice> {
    const { life, clock } = this.#options;
    let now = device;
    // What was begun by a former daemon may have ended with it: its device comes back by itself.
    let isTakenUp = device.step !== 'planned';
    while (!isOver(now.step)) {
      life.throwIfAborted();
      if (now.step === 'planned' && orders.hold.aborted) return now;
      try {
        now = await this.#step(rollout, now, orders);
        isTakenUp = false;
      } catch (thrown) {
        life.throwIfAborted();
        const error = asHildaError(thrown);
        if (mayPass(error)) await clock.sleep(storeAgainMs, { signal: life });
        else if (now.step === 'planned' && orders.hold.aborted) return now;
        else if (orders.cut.aborted && now.step !== 'rolling-back')
          now = await this.#back(rollout, now, aborted());
        else if (isLost(error, isTakenUp) && now.attempt < mostLost) now = await this.#again(rollout, now);
        else now = await this.#back(rollout, now, error);
        isTakenUp = false;
      }
    }
    return now;
  }

  /** Puts a device back that went live. */
  async putBack(rollout: RolloutRecord, device: RolloutDevice, orders: Orders): Promise<RolloutDevice> {
    return this.advance(rollout, await this.#back(rollout, device, aborted()), orders);
  }

  /** What the network would be on the device. Throws what does not fit. */
  async rehearse(rollout: RolloutRecord, device: RolloutDevice, limits: Limits): Promise<DeviceBody> {
    const request = requestOf(rollout.request);
    const { count, seed } = drawnOf(request);
    const outcome = await stepJob(
      this.#options.jobs,
      rollout,
      device,
      request,
      limits,
      `rehearse-${device.step}`,
      {
        kind: 'rehearse',
        ranges: null,
        tests: { count, seed },
      },
    );
    const rehearsal = outcome.job.result as unknown as Rehearsal | null;
    if (!rehearsal) return { ...bodyOf(device.body), place: 'kept' };
    const { programCrc, answers } = rehearsal;
    return { ...bodyOf(device.body), place: 'flash', programCrc, answers };
  }

  #step(rollout: RolloutRecord, device: RolloutDevice, orders: Orders): Promise<RolloutDevice> {
    const request = requestOf(rollout.request);
    if (device.step === 'rolling-back') return restoreDevice(rollout, device, request, this.#options);
    if (device.step === 'planned') return this.#begin(rollout, device, request, orders.hold);
    if (orders.cut.aborted) throw aborted();
    const limits = { signal: orders.cut, withinMs: 1000 * request.deadlineS };
    if (device.step === 'deploying') return this.#deploy(rollout, device, request, limits);
    if (device.step === 'testing') return this.#test(rollout, device, request, limits);
    return this.#measure(rollout, device, request, limits);
  }

  async #begin(
    rollout: RolloutRecord,
    device: RolloutDevice,
    { deadlineS }: RolloutRequest,
    hold: AbortSignal,
  ) {
    const { store } = this.#options;
    const { deviceId } = device;
    const limits = { signal: hold, withinMs: 1000 * deadlineS };
    await this.#options.jobs.present(deviceId, limits);
    const known = bodyOf(device.body);
    const body = known.place === undefined ? await this.rehearse(rollout, device, limits) : known;
    const previous = await this.#previous(deviceId);
    return store.stepDevice(rollout.id, deviceId, { step: 'deploying', body: asJson({ ...body, previous }) });
  }

  /** What the device runs now; a deployment of an earlier version is known by its program alone. */
  async #previous(deviceId: DeviceId): Promise<Omit<RunningRecord, 'deviceId'> | null> {
    const { store, clock } = this.#options;
    const running = await store.runningOn(deviceId);
    if (running) {
      const { deviceId: _, ...rest } = running;
      return rest;
    }
    const deployment = await deployedTo(deviceId, store);
    if (!deployment) return null;
    const body = asJson({ place: 'flash', network: null, inputs: null, deployment });
    return { name: 'an earlier deployment', version: null, rollout: null, sinceMs: clock.nowMs(), body };
  }

  async #deploy(rollout: RolloutRecord, device: RolloutDevice, request: RolloutRequest, limits: Limits) {
    const { store } = this.#options;
    const { deviceId } = device;
    const body = bodyOf(device.body);
    if (body.place === 'kept') return store.stepDevice(rollout.id, deviceId, { step: 'testing' });
    const outcome = await stepJob(this.#options.jobs, rollout, device, request, limits, 'deploy', {
      kind: 'deploy',
      ranges: null,
    });
    const deployment = outcome.job.result as unknown as Deployment;
    if (deployment.programCrc !== body.programCrc)
      throw new HildaError('SELF_TEST_FAILED', `${deviceId} holds another program than it was to be sent`);
    // From here on the board runs it, tested or not.
    return store.stepDevice(rollout.id, deviceId, {
      step: 'testing',
      body: asJson({ ...body, deployment }),
      running: this.#running(rollout, { place: 'flash', deployment }),
    });
  }

  async #test(rollout: RolloutRecord, device: RolloutDevice, request: RolloutRequest, limits: Limits) {
    const { store, tests } = this.#options;
    const { deployment, answers } = bodyOf(device.body);
    const { inputs, expected } = await tests.of(request.network, drawnOf(request));
    const work: JobWork = deployment ? { kind: 'runDeployed', deployment } : { kind: 'run' };
    for (const [i, blob] of (await inputs()).entries()) {
      const outcome = await stepJob(this.#options.jobs, rollout, device, request, limits, `test-${i}`, work, {
        blob,
      });
      const { outputs } = outcome.job.result as unknown as { readonly outputs: PlainAnswer };
      if (deployment) assertEqual(outputs, answers?.[i], i);
      else {
        const answer = (await expected())[i];
        if (answer) assertClose(outputs, answer, request.selfTest.tolerance, i);
      }
    }
    return store.stepDevice(rollout.id, device.deviceId, { step: 'measuring' });
  }

  async #measure(rollout: RolloutRecord, device: RolloutDevice, request: RolloutRequest, limits: Limits) {
    const { store, targetOf } = this.#options;
    const { deviceId } = device;
    const protocol = loadProtocol(request.protocol);
    const work: JobWork = { kind: 'measure', protocol, calibration: null, ramBytes: null };
    const { measurement } = await stepJob(
      this.#options.jobs,
      rollout,
      device,
      request,
      limits,
      'measure',
      work,
    );
    if (!measurement) throw new HildaError('MEASUREMENT_INVALID', `${deviceId} gave no measurement`);
    const { id, verdict, reason } = measurement;
    if (verdict !== 'valid') throw new HildaError('MEASUREMENT_INVALID', `${id} is ${verdict}: ${reason}`);
    const promised: Promised | undefined = request.promises[await targetOf(deviceId)];
    const broken = promised ? brokenPromise(measurement, promised, request.margin) : 'its target has changed';
    if (broken !== null)
      throw new HildaError('PROMISE_BROKEN', broken, { details: { measurementId: id, promised } });
    const body = bodyOf(device.body);
    return store.stepDevice(rollout.id, deviceId, {
      step: 'live',
      body: asJson({ ...body, measurementId: id }),
      ...(body.place === 'kept' && { running: this.#running(rollout, { place: 'kept', deployment: null }) }),
    });
  }

  #running(
    { id, name, version, request }: RolloutRecord,
    { place, deployment }: Pick<RunningBody, 'place' | 'deployment'>,
  ) {
    const { network, inputs } = requestOf(request);
    return { name, version, rollout: id, body: asJson({ place, network, inputs, deployment }) };
  }

  #again(rollout: RolloutRecord, { deviceId, step, attempt }: RolloutDevice): Promise<RolloutDevice> {
    return this.#options.store.stepDevice(rollout.id, deviceId, { step, attempt: attempt + 1 });
  }

  /** Written before anything is put back. A device on which nothing was begun runs what it ran. */
  #back(
    rollout: RolloutRecord,
    { deviceId, step, body }: RolloutDevice,
    why: HildaError,
  ): Promise<RolloutDevice> {
    const reason = toErrorDocument(why);
    const nothingBegan = step === 'planned' || bodyOf(body).previous === undefined;
    const to = nothingBegan ? 'restored' : 'rolling-back';
    return this.#options.store.stepDevice(rollout.id, deviceId, { step: to, reason });
  }
}

const drawnOf = ({ selfTest }: RolloutRequest) => ({ seed: selfTest.seed, count: selfTest.inputs });

const aborted = (): HildaError => new HildaError('INTERRUPTED', 'the rollout was aborted');
