import { HildaError } from '../core/errors.js';
import type { Target } from '../core/target.js';
import { networkFacts } from '../measure/network-facts.js';
import type { Graph } from '../network/graph.js';
import type { CalibrationData } from '../runtime/calibration-data.js';
import { type CalibrationExamples, exampleRanges } from '../runtime/example-ranges.js';
import { SessionProcess } from '../runtime/session-process.js';
import { examplesOf, packClasses } from './agent/examples.js';
import type { CallOptions, Device, Examples, Tensors } from './contract.js';
import { type Abilities, abilities, type Work } from './work.js';

/** What came of a piece of work: a value for JSON, and tensors where the work computes some. */
export interface Done {
  readonly value: unknown;
  readonly outputs?: Tensors;
}

/** What a piece of work needs beside itself. */
export interface Materials {
  readonly network: Graph | null;
  readonly inputs: readonly Tensors[] | CalibrationData;
  /** For `classify`, where they are here already; otherwise the inputs hold them. */
  readonly examples?: Examples;
}

/**
 * Does a piece of work on an open device. Members are called on the device itself: a device may keep its own in `this`.
 * Throws STATE_CONFLICT with `details.ability` where it lacks one, MESSAGE_INVALID for materials that do not fit the
 * work, and what the device throws.
 */
export async function perform(
  device: Device,
  work: Work,
  { id, options, ...materials }: Materials & { readonly id: string; readonly options: CallOptions },
): Promise<Done> {
  const { network, inputs } = materials;
  const given = (): Graph => {
    if (network) return network;
    throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs a network`);
  };
  const only = (): Tensors => {
    const [first] = 'feeds' in inputs ? [] : inputs;
    if (first && 'length' in inputs && inputs.length === 1) return first;
    throw new HildaError('MESSAGE_INVALID', `work of the kind ${work.kind} needs one set of inputs`);
  };
  switch (work.kind) {
    case 'calibrate': {
      if (!device.calibrate) return unable(id, work);
      const { known } = work;
      return { value: await device.calibrate({ ...options, ...(known && { known }) }) };
    }
    case 'profile':
      if (!device.profile) return unable(id, work);
      return { value: await device.profile(given(), options) };
    case 'classify':
      if (!device.classify) return unable(id, work);
      return {
        value: null,
        outputs: packClasses(await classify(device, given(), work.batch, materials, options)),
      };
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
    case 'rehearse': {
      if (device.rehearse)
        return {
          value: await device.rehearse(given(), {
            ...options,
            calibration: inputs,
            ...(work.ranges && { ranges: work.ranges }),
            tests: work.tests,
          }),
        };
      if (device.deploy || !device.run) return unable(id, work);
      assertHolds(device.limits, given(), id);
      return { value: null };
    }
    case 'erase':
      if (!device.erase) return unable(id, work);
      await device.erase(options);
      return { value: null };
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

/** What an open device is, and which optional members it has. */
export const opened = (device: Device): { readonly abilities: Abilities; readonly target: Target } => ({
  abilities: abilities.filter((ability) => device[ability] !== undefined),
  target: device.target,
});

/** Classes of examples that are here, or that came as inputs: their ranges are taken on this machine then. */
async function classify(
  device: Device,
  network: Graph,
  batch: number,
  { inputs, examples }: Materials,
  options: CallOptions,
): Promise<Uint16Array> {
  const classes = (given: Examples): Promise<Uint16Array> =>
    (device.classify as NonNullable<Device['classify']>).call(device, network, given, options);
  if (examples) return classes(examples);
  const sent = examplesOf('feeds' in inputs ? [] : inputs, batch);
  const elements = network.inputs[0]?.dims.slice(1).reduce<number>((n, dim) => n * Number(dim), 1);
  for (const { values, count } of [sent, sent.calibration])
    if (values.length !== count * (elements ?? 0))
      throw new HildaError(
        'MESSAGE_INVALID',
        `the network takes no examples of ${values.length / count} values`,
      );
  return withRanges(sent.calibration, options, (ranges) => classes({ ...sent, ranges }));
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

/** Throws DEVICE_OUT_OF_MEMORY for a network whose weights alone exceed a limit of the device. */
function assertHolds({ memoryBytes, weightBytes }: Device['limits'], network: Graph, id: string): void {
  const needed = networkFacts(network).weightBytes;
  const limitBytes = Math.min(
    memoryBytes ?? Number.POSITIVE_INFINITY,
    weightBytes ?? Number.POSITIVE_INFINITY,
  );
  if (needed <= limitBytes) return;
  throw new HildaError(
    'DEVICE_OUT_OF_MEMORY',
    `the weights take ${needed} bytes, ${id} holds ${limitBytes}`,
    { details: { weightBytes: needed, limitBytes } },
  );
}

const deploying: ReadonlySet<Work['kind']> = new Set(['deploy', 'runDeployed', 'rehearse', 'erase']);

function unable(id: string, { kind }: Work): never {
  const what = deploying.has(kind) ? 'nothing can be deployed to' : `no "${kind}" on`;
  throw new HildaError('STATE_CONFLICT', `${what} the device ${id}`, {
    hint: 'Choose another device: `hilda devices list`.',
    details: { ability: kind },
  });
}
