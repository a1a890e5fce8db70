import { systemClock } from '../../../daemon/core/clock.js';
import type { Device, Driver } from '../../../daemon/devices/contract.js';

/** What devices were asked for, and how long they took. */
export interface DeviceTime {
  /** Calls of `measure`: candidates, probes and sessions taken again. */
  sessions: number;
  measuringMs: number;
  /** Opening, calibration and every other call. */
  otherMs: number;
}

/** The drivers, whose devices add the time of each call to `time`. A device takes one call at a time. */
export const timedDrivers = (drivers: readonly Driver[], time: DeviceTime): Driver[] =>
  drivers.map((driver) => ({
    kind: driver.kind,
    discover: (options) => driver.discover(options),
    ...(driver.watch && { watch: driver.watch.bind(driver) }),
    open: async (sighting, options) => {
      const device = await taking(driver.open(sighting, options), (ms) => {
        time.otherMs += ms;
      });
      return timed(device, time);
    },
  }));

function timed(device: Device, time: DeviceTime): Device {
  const { calibrate } = device;
  return new Proxy(device, {
    get: (target, name) => {
      if (name === 'measure')
        return (...given: Parameters<Device['measure']>) =>
          taking(target.measure(...given), (ms) => {
            time.sessions++;
            time.measuringMs += ms;
          });
      if (name === 'calibrate' && calibrate)
        return (...given: Parameters<typeof calibrate>) =>
          taking(calibrate.apply(target, given), (ms) => {
            time.otherMs += ms;
          });
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function taking<T>(call: Promise<T>, onEnd: (ms: number) => void): Promise<T> {
  const startUs = systemClock.monotonicUs();
  try {
    return await call;
  } finally {
    onEnd((systemClock.monotonicUs() - startUs) / 1000);
  }
}
