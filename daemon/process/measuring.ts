import { inputsUsed } from '../api/bound-network.js';
import type { DaemonServices } from '../api/services.js';
import { HildaError } from '../core/errors.js';
import { readModel } from '../devices/read-model.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { asConverted } from '../measure/converted.js';
import { loadProtocol } from '../measure/protocols.js';
import { uncountedOperators } from '../measure/uncounted.js';
import { checkNetworkLimits } from '../network/limits.js';
import type { Store } from '../store/contract.js';

/** Measurements and profiles that a user asks for by hand, under the same leases as the studies'. */
export function measuring(
  store: Store,
  pool: Pick<DevicePool, 'withDevice'>,
): Pick<DaemonServices, 'readNetwork' | 'measure' | 'profile'> {
  return {
    readNetwork: async (bytes) => {
      const network = await readModel(bytes);
      checkNetworkLimits(network);
      return network;
    },
    measure: async ({ network, deviceId, protocol: name }, { signal }) => {
      const protocol = loadProtocol(name);
      return pool.withDevice(deviceId, { holder: 'measure', signal, network }, async (device, lease) => {
        const taken = asConverted(await device.measure(network, protocol, { signal }), network);
        const uncounted = uncountedOperators(network);
        const manifest = {
          ...taken.manifest,
          inputs: inputsUsed(network),
          ...(uncounted.length > 0 && { uncounted }),
        };
        return store.addMeasurement({ ...taken, manifest }, { deviceId, lease });
      });
    },
    profile: ({ network, deviceId }, { signal }) =>
      pool.withDevice(deviceId, { holder: 'profile', signal, network }, async (device) => {
        if (!device.profile)
          throw new HildaError('STATE_CONFLICT', `the device ${deviceId} cannot profile`, {
            hint: 'Choose another device.',
          });
        return device.profile(network, { signal });
      }),
  };
}
