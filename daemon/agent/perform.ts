import { HildaError } from '../core/errors.js';
import { examplesOf, packClasses } from '../devices/agent/examples.js';
import { abilities, type Work } from '../devices/agent/wire.js';
import type { CallOptions, Device, Examples, Tensors } from '../devices/contract.js';
import type { Graph } from '../network/graph.js';
import { type CalibrationExamples, exampleRanges } from '../runtime/example-ranges.js';
import { SessionProcess } from '../runtime/session-process.js';

/** What came of a piece of work: a value for JSON, and tensors where the work computes some. */
export interface Done {
  readonly value: unknown;
  readonly outputs?: Tensors;
}

/** Members are called on the device itself: a device may keep its own in `this`. Throws STATE_CONFLICT where it has none. */
export async function perform(
  device: Device,
  work: Work,
  {
    id,
    network,
    inputs,
    options,
  }: {
    readonly id: string;
    readonly network: Graph | null;
    readonly inputs: readonly Tensors[];
    readonly options: CallOptions;
  },
): Promise<Done> {
  const given = (): Graph => {
    if (network) return network;
    throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs a network`);
  };
  const only = (): Tensors => {
    const [first] = inputs;
    if (first && inputs.length === 1) return first;
    throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs one set of inputs`);
  };
  switch (work.kind) {
    case 'open': {
      const able = abilities.filter((ability) => device[ability] !== undefined);
      return { value: { abilities: able, target: device.target } };
    }
    case 'calibrate': {
      if (!device.calibrate) return unable(id, work);
      const { known } = work;
      return { value: await device.calibrate({ ...options, ...(known && { known }) }) };
    }
    case 'profile':
      if (!device.profile) return unable(id, work);
      return { value: await device.profile(given(), options) };
    case 'classify': {
      if (!device.classify) return unable(id, work);
      const network = given();
      const examples = examplesOf(inputs, work.batch);
      const elements = network.inputs[0]?.dims.slice(1).reduce<number>((n, dim) => n * Number(dim), 1);
      for (const { values, count } of [examples, examples.calibration])
        if (values.length !== count * (elements ?? 0))
          throw new HildaError(
            'MESSAGE_INVALID',
            `the network takes no examples of ${values.length / count} values`,
          );
      const classes = await withRanges(examples.calibration, options, (ranges) =>
        (device.classify as NonNullable<Device['classify']>)(network, { ...examples, ranges }, options),
      );
      return { value: null, outputs: packClasses(classes) };
    }
    case 'run':
      if (!device.run) return unable(id, work);
      return { value: null, outputs: await device.run(given(), only(), options) };
    case 'deploy':
      if (!device.deploy) return unable(id, work);
      return {
        value: await device.deploy(given(), {
          ...options,
          calibration: inputs,
          ...(work.ranges && { ranges: work.ranges }),
        }),
      };
    case 'runDeployed':
      if (!device.runDeployed) return unable(id, work);
      return { value: null, outputs: await device.runDeployed(work.deployment, only(), options) };
    case 'reset':
      if (!device.reset) return unable(id, work);
      await device.reset(options);
      return { value: null };
    case 'measure':
      if (work.calibration) await device.calibrate?.({ ...options, known: work.calibration });
      return {
        value: await device.measure(given(), work.protocol, {
          ...options,
          ...(work.ramBytes !== null && { ramBytes: work.ramBytes }),
        }),
      };
  }
}

/** Ranges taken on this machine, in a runtime process that lives as long as the call. */
async function withRanges<T>(
  calibration: CalibrationExamples,
  { signal }: CallOptions,
  use: (ranges: Examples['ranges']) => Promise<T>,
): Promise<T> {
  const runtime = new SessionProcess();
  try {
    return await use((graph, values) => exampleRanges(graph, values, calibration, runtime, { signal }));
  } finally {
    await runtime.stop();
  }
}

function unable(id: string, { kind }: Work): never {
  throw new HildaError('STATE_CONFLICT', `the device ${id} of the agent has no ability "${kind}"`, {
    hint: 'Choose another device: `hilda devices list`.',
  });
}
