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
        // Kept by an earlier version, it has one of each.
        const { moreInputs = [], moreOutputs = [] } = deployment as Partial<Deployment>;
        const ports = [deployment.input, ...moreInputs];
        const outputs = await device.runDeployed(
          { ...deployment, moreInputs, moreOutputs },
          tensorsOf(ports, input, 'the input'),
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

/** One example for calibration: the values of all the network's inputs. */
const inputOf = ({ inputs }: Graph, values: readonly number[]): Tensors =>
  tensorsOf(
    inputs.map(({ name, dims }) => ({ name, dims: dims.map((dim) => (typeof dim === 'number' ? dim : 1)) })),
    values,
    'an input for calibration',
  );

/** Flat values as tensors, one behind the other. Throws REQUEST_INVALID where there are too many or too few. */
function tensorsOf(
  ports: readonly { readonly name: string; readonly dims: readonly number[] }[],
  values: readonly number[],
  what: string,
): Tensors {
  const sizes = ports.map(({ dims }) => dims.reduce((product, dim) => product * dim, 1));
  const elements = sizes.reduce((sum, size) => sum + size, 0);
  if (values.length !== elements)
    throw new HildaError(
      'REQUEST_INVALID',
      `${what} has ${values.length} values, the network takes ${elements}`,
    );
  let at = 0;
  return Object.fromEntries(
    ports.map(({ name, dims }, i) => {
      at += sizes[i] as number;
      return [name, { dims, data: Float32Array.from(values.slice(at - (sizes[i] as number), at)) }];
    }),
  );
}

const cannot = (id: DeviceId): HildaError =>
  new HildaError('STATE_CONFLICT', `nothing can be deployed to the device ${id}`, {
    hint: 'Choose a board: `hilda devices list`.',
  });
