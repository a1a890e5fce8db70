import type { Test } from 'tap';
import type { Driver } from '../../daemon/devices/contract.js';
import * as suite from '../../daemon/testing/device-contract.js';
import { holds } from './holds.js';

export { contractProtocol, doublingNetwork } from '../../daemon/testing/doubling-network.js';

export const deviceContract = (
  t: Test,
  driver: () => Driver,
  options: suite.DeviceContractOptions,
): Promise<void> => holds(t, suite.deviceContract(driver, options));
