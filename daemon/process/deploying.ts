import type { DaemonServices } from '../api/services.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { constantInputs } from '../devices/bind-network.js';
import { flatExamples, type InputShape, isPiece, piecedExamples } from '../devices/calibration-data.js';
import type { Deployment, Tensors } from '../devices/contract.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { asTensors } from '../runtime/tensors.js';
import type { Store } from '../store/contract.js';

const key = (id: DeviceId): string => `deployment ${id}`;

/** Deployments, under the same leases as measurements. What a device holds is kept in the store: the board has the program alone. */
export function deploying(
  store: Store,
  pool: Pick<DevicePool, 'withDevice'>,
): Pick<DaemonServices, 'deploy' | 'deployed' | 'runDeployed'> {
  /** Kept by an earlier version, it has one input and one output. */
  const deployed = async (id: DeviceId): Promise<Deployment | undefined> => {
    const kept = (await store.value(key(id))) as Deployment | undefined | null;
    return kept
      ? { ...kept, moreInputs: kept.moreInputs ?? [], moreOutputs: kept.moreOutputs ?? [] }
      : undefined;
  };
  return {
    deployed,
    deploy: ({ network, deviceId, ...calibrating }, { signal }) =>
      pool.withDevice(deviceId, { holder: 'deploy', signal }, async (device) => {
        if (!device.deploy) throw cannot(deviceId);
        const deployment = await device.deploy(constantInputs(network), { signal, ...calibrating });
        await store.setValue(key(deviceId), deployment as unknown as Json);
        return deployment;
      }),
    runDeployed: ({ deviceId, input }, { signal }) =>
      pool.withDevice(deviceId, { holder: 'run', signal }, async (device) => {
        if (!device.runDeployed) throw cannot(deviceId);
        const deployment = await deployed(deviceId);
        if (!deployment)
          throw new HildaError('STATE_CONFLICT', `nothing was deployed to ${deviceId} by this daemon`, {
            hint: 'Run `hilda deploy` first.',
          });
        const ports = [deployment.input, ...deployment.moreInputs].map(
          ({ name, dims }): InputShape => ({ name, dims, dtype: 'float32' }),
        );
        const outputs = await device.runDeployed(deployment, await oneExample(ports, input), { signal });
        return Object.fromEntries(
          Object.entries(outputs).map(([output, tensor]) => [
            output,
            { dims: [...tensor.dims], data: [...tensor.data] },
          ]),
        );
      }),
  };
}

/** Throws REQUEST_INVALID where it is no one example, or of another size. */
async function oneExample(
  ports: readonly InputShape[],
  input: readonly number[] | Uint8Array,
): Promise<Tensors> {
  const examples =
    input instanceof Uint8Array && isPiece(input)
      ? await piecedExamples(ports, [async () => input])
      : flatExamples(ports, [input instanceof Uint8Array ? floatsIn(input) : input]);
  if (examples.count !== 1)
    throw new HildaError('REQUEST_INVALID', `one input is run at a time, ${examples.count} were given`);
  for await (const feed of examples.feeds()) return asTensors(feed);
  throw new HildaError('REQUEST_INVALID', 'no input was given');
}

function floatsIn(bytes: Uint8Array): Float32Array {
  if (bytes.length % 4 === 0) return new Float32Array(new Uint8Array(bytes).buffer);
  throw new HildaError('REQUEST_INVALID', `${bytes.length} bytes are no whole number of float32 elements`);
}

const cannot = (id: DeviceId): HildaError =>
  new HildaError('STATE_CONFLICT', `nothing can be deployed to the device ${id}`, {
    hint: 'Choose a board: `hilda devices list`.',
  });
