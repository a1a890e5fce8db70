import { type Clock, systemClock } from '../../daemon/core/clock.js';

/** The system's clock, so many times as fast: pauses of seconds take milliseconds. */
export function hastyClock(times: number): Clock {
  const startMs = systemClock.nowMs();
  const startUs = systemClock.monotonicUs();
  return {
    nowMs: () => startMs + (systemClock.nowMs() - startMs) * times,
    monotonicUs: () => startUs + (systemClock.monotonicUs() - startUs) * times,
    sleep: (ms, options) => systemClock.sleep(ms / times, options),
  };
}
