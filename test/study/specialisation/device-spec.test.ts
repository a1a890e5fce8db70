import t from 'tap';
import type { DeviceId } from '../../../daemon/core/ids.js';
import type { DeviceRecord } from '../../../daemon/store/contract.js';
import { deviceSpecs } from '../../../daemon/study/specialisation/device-spec.js';

const device = (id: string, tier: string): DeviceRecord => ({
  id: id as DeviceId,
  kind: 'test',
  label: id,
  target: {
    model: id,
    clockHz: null,
    runtime: 'test',
    runtimeVersion: '1',
    provider: 'test',
    threads: 1,
    dtype: 'float32',
    tier,
  },
  host: 'local',
  state: 'adopted',
  reason: null,
  quarantine: null,
  tags: [],
  firstSeenMs: 0,
  lastSeenMs: 0,
});
const known = [device('cpu-1', 'host'), device('cpu-2', 'host'), device('pico', 'emulated')];
const latency = (id: string) => ({ metric: `latencyUs@${id}`, goal: 'min' });
const base = { space: 'mbconv-fmnist', budget: { trials: 5 } };

t.test('each device has its own costs and limits, and all have what belongs to the network', (t) => {
  const given = {
    ...base,
    devices: ['cpu-1', 'pico', 'm7'],
    objectives: [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
      { metric: 'cycles@pico', goal: 'min' },
      { metric: 'instructions@m7', goal: 'min' },
    ],
    constraints: [
      { metric: 'parameters', max: 5e4 },
      { metric: 'peakBytes', max: 1e6 },
      { metric: 'flashBytes@pico', max: 1000 },
      { metric: 'flashBytes@m7', max: 2000 },
    ],
  };
  const [cpu, pico, ...others] = deviceSpecs(given, ['cpu-1', 'pico'], known);
  t.same(others, [], 'devices that were not asked for are left out, though they are not here');
  t.equal(cpu?.speed, 'latencyUs');
  t.same(
    cpu?.spec.objectives.map(({ metric }) => metric),
    ['accuracy', 'latencyUs'],
  );
  t.same(cpu?.spec.constraints, [
    { metric: 'parameters', max: 5e4 },
    { metric: 'peakBytes', max: 1e6 },
  ]);
  t.equal(pico?.speed, 'cycles');
  t.same(
    pico?.spec.objectives.map(({ metric }) => metric),
    ['accuracy', 'cycles'],
  );
  t.same(pico?.spec.constraints, [
    { metric: 'parameters', max: 5e4 },
    { metric: 'flashBytes', max: 1000 },
  ]);
  t.same(pico?.spec.devices, ['pico']);
  t.end();
});

t.test('bare costs are those of every device that has none of its own', (t) => {
  const specs = deviceSpecs(base, ['cpu-1', 'cpu-2'], known);
  t.same(
    specs.map(({ deviceId, speed }) => [deviceId, speed]),
    [
      ['cpu-1', 'latencyUs'],
      ['cpu-2', 'latencyUs'],
    ],
  );
  const own = { ...base, objectives: [{ metric: 'accuracy', goal: 'max' }, latency('cpu-2')] };
  t.throws(() => deviceSpecs(own, ['cpu-1', 'cpu-2'], known), { code: 'SPEC_INVALID' }, 'cpu-1 has no speed');
  t.end();
});

t.test('what cannot work is refused before anything is searched', (t) => {
  const refused = (given: unknown, devices: string[], code: string, message: RegExp): void => {
    t.throws(() => deviceSpecs(given, devices, known), { code, message });
  };
  refused(base, ['cpu-1', 'pico'], 'SPEC_INVALID', /pico is emulated: it counts/);
  refused(base, ['cpu-1', 'phone'], 'DEVICE_UNKNOWN', /phone/);
  refused(base, ['cpu', 'pico'], 'DEVICE_UNKNOWN', /more than one/);
  refused(base, ['cpu-1', 'cpu-1'], 'SPEC_INVALID', /at least two/);
  const typo = {
    ...base,
    objectives: [{ metric: 'accuracy', goal: 'max' }, { metric: 'latencyUs', goal: 'min' }, latency('pcio')],
  };
  refused(typo, ['cpu-1', 'cpu-2'], 'SPEC_INVALID', /pcio/);
  const blind = { ...base, objectives: [{ metric: 'latencyUs', goal: 'min' }] };
  refused(blind, ['cpu-1', 'cpu-2'], 'SPEC_INVALID', /needs accuracy/);
  t.end();
});
