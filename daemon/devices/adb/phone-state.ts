import type { Json } from '../../core/json.js';
import type { Judgement } from '../../measure/verdict.js';

/** What may change while measuring; null where the phone does not say. */
export interface PhoneState {
  readonly [key: string]: Json;
  /** Android's thermal status: 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown. */
  readonly thermalStatus: number | null;
  readonly batteryPercent: number | null;
  readonly batteryCelsius: number | null;
  readonly powered: boolean | null;
  /** Present clock of each core. */
  readonly coreKhz: readonly number[];
}

/** From this status on Android slows its cores down. */
const throttlingFrom = 2;

/** The commands whose outputs `parsePhoneState` reads, in one line: each costs a round trip. */
export const phoneStateCommand = [
  'dumpsys thermalservice 2>/dev/null',
  'echo --battery',
  'dumpsys battery 2>/dev/null',
  'echo --clocks',
  'cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq 2>/dev/null',
  'true',
].join('; ');

export function parsePhoneState(text: string): PhoneState {
  const [thermal = '', rest = ''] = text.split('--battery');
  const [battery = '', clocks = ''] = rest.split('--clocks');
  const number = (source: string, pattern: RegExp): number | null => {
    const found = pattern.exec(source)?.[1];
    return found === undefined ? null : Number(found);
  };
  const tenths = number(battery, /^\s*temperature:\s*(-?\d+)/m);
  const powered = [...battery.matchAll(/powered:\s*(true|false)/g)].map(([, value]) => value === 'true');
  return {
    thermalStatus: number(thermal, /Thermal Status:\s*(\d+)/i),
    batteryPercent: number(battery, /^\s*level:\s*(\d+)/m),
    batteryCelsius: tenths === null ? null : tenths / 10,
    powered: powered.length === 0 ? null : powered.some(Boolean),
    coreKhz: clocks
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /^\d+$/.test(line))
      .map(Number),
  };
}

/** A phone that throttled, or came nearer to it, while measuring gives no valid time. */
export function judgePhone(before: PhoneState, after: PhoneState): Judgement | null {
  const [from, to] = [before.thermalStatus, after.thermalStatus];
  if (from === null || to === null) return null;
  if (Math.max(from, to) >= throttlingFrom)
    return {
      verdict: 'throttled',
      reason: `The phone's thermal status was ${from} before and ${to} after: void.`,
    };
  if (to > from)
    return { verdict: 'throttled', reason: `The phone's thermal status rose from ${from} to ${to}: void.` };
  return null;
}
