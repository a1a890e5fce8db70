import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Deployment, Rehearsal } from '../devices/contract.js';
import { isAway } from '../fleet/away.js';
import { deployedTo, nothingDeployed } from '../jobs/deployments.js';
import type { JobWork, Outcome } from '../jobs/job.js';
import { loadProtocol } from '../measure/protocols.js';
import type { Store } from '../store/contract.js';
import { mayPass } from '../store/late-writes.js';
import type { RolloutDevice, RolloutRecord, RolloutStep, RunningRecord } from '../store/rollout-contract.js';
import { asJson, bodyOf, type DeviceBody, type RunningBody, runningBodyOf } from './device-body.js';
import { brokenPromise } from './promises.js';
import { type Promised, type RolloutRequest, requestOf } from './request.js';
import { assertClose, assertEqual, type PlainAnswer, type SelfTests } from './self-test.js';
import type { Limits, StepJobs } from './step-jobs.js';

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
const restoreAgainMs = 1000;
const restoreEverMs = 30_000;

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
    const outcome = await this.#job(rollout, device, request, limits, `rehearse-${device.step}`, {
      kind: 'rehearse',
      ranges: null,
      tests: { count, seed },
    });
    const rehearsal = outcome.job.result as unknown as Rehearsal | null;
    if (!rehearsal) return { ...bodyOf(device.body), place: 'kept' };
    const { programCrc, answers } = rehearsal;
    return { ...bodyOf(device.body), place: 'flash', programCrc, answers };
  }

  #step(rollout: RolloutRecord, device: RolloutDevice, orders: Orders): Promise<RolloutDevice> {
    const request = requestOf(rollout.request);
    if (device.step === 'rolling-back') return this.#restore(rollout, device, request);
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
    const outcome = await this.#job(rollout, device, request, limits, 'deploy', {
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
      const outcome = await this.#job(rollout, device, request, limits, `test-${i}`, work, { blob });
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
    const { measurement } = await this.#job(rollout, device, request, limits, 'measure', work);
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

  /** Asks what the device really runs, and writes what it ran before where that is something else. */
  async #restore(
    rollout: RolloutRecord,
    device: RolloutDevice,
    request: RolloutRequest,
  ): Promise<RolloutDevice> {
    const { store, clock, life } = this.#options;
    const { deviceId } = device;
    const { place, previous = null } = bodyOf(device.body);
    const endUs = clock.monotonicUs() + 1e6 * request.restoreS;
    let { attempt } = device;
    for (let waitMs = restoreAgainMs; ; waitMs = Math.min(restoreEverMs, 2 * waitMs)) {
      const withinMs = Math.max(1, (endUs - clock.monotonicUs()) / 1000);
      try {
        if (place === 'flash') await this.#reflash(rollout, { ...device, attempt }, previous, { withinMs });
        const { rollout: was = null, ...rest } = previous ?? {};
        const running = previous
          ? { ...(rest as Omit<RunningRecord, 'deviceId' | 'rollout'>), rollout: was }
          : null;
        return await store.stepDevice(rollout.id, deviceId, { step: 'restored', running });
      } catch (thrown) {
        life.throwIfAborted();
        const error = asHildaError(thrown);
        const isLate = clock.monotonicUs() + 1000 * waitMs >= endUs;
        if (isLate || !(isAway(error) || error.retryable || isLost(error, true))) {
          if (mayPass(error)) throw error;
          const { code, message } = device.reason ?? { code: error.code, message: '' };
          const both = `${message}; and it could not be put back: ${error.message}`;
          const reason = toErrorDocument(new HildaError(code, both, { details: { restoring: error.code } }));
          return await store.stepDevice(rollout.id, deviceId, { step: 'failed', reason, running: null });
        }
        attempt++;
        await store.stepDevice(rollout.id, deviceId, { step: 'rolling-back', attempt });
        await clock.sleep(waitMs, { signal: life });
      }
    }
  }

  async #reflash(
    rollout: RolloutRecord,
    device: RolloutDevice,
    previous: DeviceBody['previous'],
    limits: Limits,
  ): Promise<void> {
    const { store } = this.#options;
    const { deviceId } = device;
    if (!previous) {
      const erased = this.#job(rollout, device, null, limits, 'erase', { kind: 'erase' });
      // A device that cannot remove it keeps it, and nobody runs it.
      await erased.catch((thrown: unknown) => {
        if (asHildaError(thrown).details.ability === undefined) throw thrown;
      });
      for (const [key, value] of Object.entries(nothingDeployed(deviceId))) await store.setValue(key, value);
      return;
    }
    const { network, inputs, deployment } = runningBodyOf(previous.body);
    if (deployment && (await this.#holds(rollout, device, deployment, limits))) return;
    if (!network)
      throw new HildaError(
        'NOT_FOUND',
        'what it ran before was deployed by an earlier version, which kept no model',
      );
    const again = { network, inputs };
    const outcome = await this.#job(rollout, device, again, limits, 'restore', {
      kind: 'deploy',
      ranges: null,
    });
    const restored = outcome.job.result as unknown as Deployment;
    if (deployment && restored.programCrc !== deployment.programCrc)
      throw new HildaError('SELF_TEST_FAILED', 'the program that it ran before comes out otherwise now');
  }

  /** Whether the board runs this deployment: one input is answered only by the program that it was made for. */
  async #holds(
    rollout: RolloutRecord,
    device: RolloutDevice,
    deployment: Deployment,
    limits: Limits,
  ): Promise<boolean> {
    const sizes = [deployment.input, ...deployment.moreInputs].map(({ dims }) =>
      dims.reduce((n, dim) => n * dim, 1),
    );
    const values = Array.from({ length: sizes.reduce((sum, size) => sum + size, 0) }, () => 0);
    const work: JobWork = { kind: 'runDeployed', deployment };
    try {
      await this.#job(rollout, device, null, limits, 'ask', work, { values });
    } catch (thrown) {
      if (asHildaError(thrown).code === 'STATE_CONFLICT') return false;
      throw thrown;
    }
    const { store } = this.#options;
    const told = await deployedTo(device.deviceId, store);
    return told?.programCrc === deployment.programCrc;
  }

  #job(
    rollout: RolloutRecord,
    { deviceId, step, attempt }: RolloutDevice,
    subject: Pick<RolloutRequest, 'network' | 'inputs'> | null,
    limits: Limits,
    name: string,
    work: JobWork,
    inputs: { readonly blob: string } | { readonly values: readonly number[] } | null = null,
  ): Promise<Outcome> {
    const key = `${rollout.id}/${deviceId}/${step}/${name}/${attempt}`;
    const needsNetwork = work.kind !== 'runDeployed' && work.kind !== 'erase';
    const isWritten = work.kind === 'deploy' || work.kind === 'rehearse';
    return this.#options.jobs.run(
      deviceId,
      {
        work,
        network: needsNetwork && subject ? subject.network : null,
        inputs: isWritten && subject ? subject.inputs : inputs,
        owner: { kind: 'rollout', name: rollout.id },
        maxAttempts: work.kind === 'measure' ? 3 : 1,
        idempotencyKey: key,
      },
      limits,
    );
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

/** The job ended with its daemon, or was cancelled by hand; or its device had not come back after a restart. */
const isLost = ({ code }: HildaError, isTakenUp: boolean): boolean =>
  code === 'INTERRUPTED' || (code === 'DEVICE_GONE' && isTakenUp);

const aborted = (): HildaError => new HildaError('INTERRUPTED', 'the rollout was aborted');
