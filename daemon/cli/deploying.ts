import type { DaemonServices } from '../api/services.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Deployment, Tensors } from '../devices/contract.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Graph } from '../network/graph.js';
import type { Store } from '../store/contract.js';

const key = (id: DeviceId): string => `deployment ${id}`;

/** Deployments, under the same leases as measurements. What a device holds is kept in the store: the board has the program alone. */
export function deploying(
  store: Store,
  pool: Pick<DevicePool, 'withDevice'>,
): Pick<DaemonServices, 'deploy' | 'runDeployed'> {
  return {
    deploy: ({ network, deviceId, calibration }, { signal }) =>
      pool.withDevice(deviceId, { holder: 'deploy', signal }, async (device) => {
        if (!device.deploy) throw cannot(deviceId);
        const inputs = calibration.map((values) => inputOf(network, values));
        const deployment = await device.deploy(network, { signal, calibration: inputs });
        await store.setValue(key(deviceId), deployment as unknown as Json);
        return deployment;
      }),
    runDeployed: ({ deviceId, input }, { signal }) =>
      pool.withDevice(deviceId, { holder: 'run', signal }, async (device) => {
        if (!device.runDeployed) throw cannot(deviceId);
        const deployment = (await store.value(key(deviceId))) as Deployment | undefined | null;
        if (!deployment)
          throw new HildaError('STATE_CONFLICT', `nothing was deployed to ${deviceId} by this daemon`, {
            hint: 'Run `hilda deploy` first.',
          });
        const { name, dims } = deployment.input;
        const outputs = await device.runDeployed(
          deployment,
          { [name]: { dims, data: Float32Array.from(input) } },
          { signal },
        );
        return Object.fromEntries(
          Object.entries(outputs).map(([output, tensor]) => [
            output,
            { dims: [...tensor.dims], data: [...tensor.data] },
          ]),
        );
      }),
  };
}

/** One image of calibration: the values of the network's first input. */
function inputOf(network: Graph, values: readonly number[]): Tensors {
  const [input] = network.inputs;
  const dims = (input?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
  const elements = dims.reduce((product, dim) => product * dim, 1);
  if (!input || values.length !== elements) {
    throw new HildaError(
      'REQUEST_INVALID',
      `an input for calibration has ${values.length} values, the network takes ${elements}`,
    );
  }
  return { [input.name]: { dims, data: Float32Array.from(values) } };
}

const cannot = (id: DeviceId): HildaError =>
  new HildaError('STATE_CONFLICT', `nothing can be deployed to the device ${id}`, {
    hint: 'Choose a board: `hilda devices list`.',
  });
