import t from 'tap';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { deviceContract, doublingNetwork } from '../contract/device-contract.js';

t.setTimeout(600_000);

t.test('the emulated Pico keeps the contract', (t) => {
  const sound = doublingNetwork();
  const broken = { ...sound, nodes: sound.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) };
  return deviceContract(t, () => new EmulatedDriver({ boards: ['rp2040-pico'] }), { broken });
});
