import type { Json } from '../../core/json.js';
import type { Judgement } from '../../measure/verdict.js';
import { readCpuList, readSysfs, sysfsCount } from './sysfs.js';

/** One core as it is now; null where the phone does not say. */
export interface CoreState {
  readonly [key: string]: Json;
  readonly core: number;
  readonly online: boolean | null;
  readonly governor: string | null;
  readonly khz: number | null;
  /** The highest clock allowed at present, and the highest there is. */
  readonly capKhz: number | null;
  readonly maxKhz: number | null;
}

export interface ThermalZone {
  readonly [key: string]: Json;
  readonly zone: number;
  readonly type: string | null;
  /** As the file says. */
  readonly raw: number;
  /** Null where the reading cannot be the temperature of a phone. */
  readonly celsius: number | null;
}

/** What may change while measuring; null where the phone does not say. */
export interface PhoneState {
  readonly [key: string]: Json;
  /** Android's thermal status: 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown. */
  readonly thermalStatus: number | null;
  readonly batteryPercent: number | null;
  readonly batteryCelsius: number | null;
  readonly powered: boolean | null;
  /** BatteryManager's words: charging, discharging, not charging, full. */
  readonly charging: string | null;
  /** Android's wakefulness: Awake, Asleep, Dreaming, Dozing. */
  readonly screen: string | null;
  readonly lowPower: boolean | null;
  /** Present clock of each core that tells it. */
  readonly coreKhz: readonly number[];
  readonly cores: readonly CoreState[];
  readonly zones: readonly ThermalZone[];
}

/** From this status on Android slows its cores down. */
const throttlingFrom = 2;
const cpu = '/sys/devices/system/cpu';
const thermal = '/sys/class/thermal/thermal_zone';

/** The commands whose outputs `parsePhoneState` reads, in one line: each costs a round trip. */
export const phoneStateCommand = [
  'dumpsys thermalservice 2>/dev/null',
  'echo --battery',
  'dumpsys battery 2>/dev/null',
  'echo --power',
  "dumpsys power 2>/dev/null | grep -E 'mWakefulness=|mLowPowerModeEnabled=|mSettingBatterySaverEnabled='",
  'echo --sys',
  [
    'grep -sH .',
    `${cpu}/online`,
    ...['scaling_governor', 'scaling_cur_freq', 'scaling_max_freq', 'cpuinfo_max_freq'].map(
      (file) => `${cpu}/cpu[0-9]*/cpufreq/${file}`,
    ),
    `${thermal}*/type ${thermal}*/temp 2>/dev/null`,
  ].join(' '),
  'true',
].join('; ');

/** Present clock and cap of some cores, or of all: what is read beside every run, one short program. */
export const clocksCommand = (cores: readonly number[] | null): string =>
  [
    'grep -sH .',
    `${cpu}/online`,
    ...(cores ?? ['[0-9]*']).flatMap((core) =>
      ['scaling_cur_freq', 'scaling_max_freq'].map((file) => `${cpu}/cpu${core}/cpufreq/${file}`),
    ),
    '2>/dev/null',
  ].join(' ');

const chargingWords: ReadonlyMap<number, string> = new Map([
  [2, 'charging'],
  [3, 'discharging'],
  [4, 'not charging'],
  [5, 'full'],
]);

export function parsePhoneState(text: string): PhoneState {
  const [service = '', rest = ''] = text.replaceAll('\r', '').split('--battery');
  const [battery = '', more = ''] = rest.split('--power');
  const [power = '', files = ''] = more.split('--sys');
  const number = (source: string, pattern: RegExp): number | null => {
    const found = pattern.exec(source)?.[1];
    return found === undefined ? null : Number(found);
  };
  const tenths = number(battery, /^\s*temperature:\s*(-?\d+)/m);
  const level = number(battery, /^\s*level:\s*(\d+)/m);
  const scale = number(battery, /^\s*scale:\s*(\d+)/m) || 100;
  const powered = [...battery.matchAll(/powered:\s*(true|false)/g)].map(([, value]) => value === 'true');
  const values = readSysfs(files);
  const cores = coresIn(values);
  const saving = [...power.matchAll(/(?:mLowPowerModeEnabled|mSettingBatterySaverEnabled)=(true|false)/g)];
  return {
    thermalStatus: number(service, /Thermal Status:\s*(\d+)/i),
    batteryPercent: level === null ? null : (100 * level) / scale,
    batteryCelsius: tenths === null ? null : plausible(tenths / 10),
    powered: powered.length === 0 ? null : powered.some(Boolean),
    charging: chargingWords.get(number(battery, /^\s*status:\s*(\d+)/m) ?? 0) ?? null,
    screen: /mWakefulness=(\w+)/.exec(power)?.[1] ?? null,
    lowPower: saving.length === 0 ? null : saving.some(([, value]) => value === 'true'),
    coreKhz: cores.flatMap(({ khz }) => (khz === null ? [] : [khz])),
    cores,
    zones: zonesIn(values),
  };
}

/** Sysfs of one moment as the states of cores, for `parsePhoneState` and what is read beside a run. */
export function coresIn(values: ReadonlyMap<string, string>): CoreState[] {
  const online = readCpuList(values.get(`${cpu}/online`) ?? '');
  const named = [...values.keys()].flatMap((path) => {
    const [, index] = /\/cpu(\d+)\/cpufreq\//.exec(path) ?? [];
    return index === undefined ? [] : [Number(index)];
  });
  return [...new Set([...(online ?? []), ...named])]
    .sort((a, b) => a - b)
    .map((core) => {
      const file = (name: string): string => `${cpu}/cpu${core}/cpufreq/${name}`;
      return {
        core,
        online: online?.includes(core) ?? null,
        governor: values.get(file('scaling_governor')) ?? null,
        khz: sysfsCount(values, file('scaling_cur_freq')) || null,
        capKhz: sysfsCount(values, file('scaling_max_freq')) || null,
        maxKhz: sysfsCount(values, file('cpuinfo_max_freq')) || null,
      };
    });
}

function zonesIn(values: ReadonlyMap<string, string>): ThermalZone[] {
  return [...values].flatMap(([path, text]) => {
    const [, zone] = /^\/sys\/class\/thermal\/thermal_zone(\d+)\/temp$/.exec(path) ?? [];
    if (zone === undefined || !/^-?\d{1,12}$/.test(text)) return [];
    const raw = Number(text);
    const type = values.get(`${thermal}${zone}/type`) ?? null;
    return [{ zone: Number(zone), type, raw, celsius: zoneCelsius(raw) }];
  });
}

/** The kernel says thousandths of a degree; some drivers say whole degrees, and some anything. */
const zoneCelsius = (raw: number): number | null =>
  Math.abs(raw) >= 1000 ? plausible(raw / 1000) : raw > 0 ? plausible(raw) : null;

const plausible = (celsius: number): number | null => (celsius > -30 && celsius < 150 ? celsius : null);

/** A phone that throttled, or came nearer to it, while measuring gives no valid time. */
export function judgePhone(before: PhoneState, after: PhoneState): Judgement | null {
  const [from, to] = [before.thermalStatus, after.thermalStatus];
  if (from !== null && to !== null) {
    if (Math.max(from, to) >= throttlingFrom)
      return throttled(`The phone's thermal status was ${from} before and ${to} after: void.`);
    if (to > from) return throttled(`The phone's thermal status rose from ${from} to ${to}: void.`);
  }
  return judgeCaps(before.cores, after.cores);
}

/** Clocks that differ by less are one step of a table. */
const capTolerance = 0.01;

/** Cores whose highest allowed clock fell while measuring, or that went offline, were throttled. */
export function judgeCaps(before: readonly CoreState[], later: readonly CoreState[]): Judgement | null {
  const known = new Map(before.map((core) => [core.core, core]));
  for (const { core, capKhz, online } of later) {
    const first = known.get(core);
    if (first?.capKhz && capKhz !== null && capKhz < first.capKhz * (1 - capTolerance))
      return throttled(
        `Core ${core} may run at ${megahertz(capKhz)} where ${megahertz(first.capKhz)} were allowed before: void.`,
      );
    if (first?.online && online === false)
      return throttled(`Core ${core} went offline while measuring: void.`);
  }
  const left = before.find(
    ({ core, online }) => online && later.length > 0 && !later.some((one) => one.core === core),
  );
  return left ? throttled(`Core ${left.core} went offline while measuring: void.`) : null;
}

const megahertz = (khz: number): string => `${Math.round(khz / 1000)} MHz`;

const throttled = (reason: string): Judgement => ({ verdict: 'throttled', reason });
