import type { Clock } from '../../core/clock.js';
import type { Switchboard } from '../switchboard.js';

/**
 * A clock that errs: who sleeps (`sleep`) wakes late, and the date (`date`) steps by `ms` for good. The monotonic clock, which
 * takes times of networks, never errs: its times would be wrong without an error.
 */
export function faultyClock(clock: Clock, board: Switchboard): Clock {
  let stepMs = 0;
  return {
    nowMs: () => {
      const strike = board.strike('clock', 'date', ['corrupt']);
      if (strike) stepMs += strike.ms;
      return clock.nowMs() + stepMs;
    },
    monotonicUs: () => clock.monotonicUs(),
    sleep: (ms, options) => {
      const strike = board.strike('clock', 'sleep', ['delay']);
      return clock.sleep(strike ? ms + strike.ms : ms, options);
    },
  };
}
