import { createTask, parse, validateDetailed } from 'node-cron';
import { HildaError } from '../core/errors.js';

/** When a cron expression fires in a time zone. */
export interface CronTimes {
  /** The first firing after a moment, in milliseconds since 1970; null where there is none within 40 years. */
  next(afterMs: number): number | null;
}

const dayMs = 24 * 3_600_000;
const mostDays = 40 * 366;
const mostLength = 200;

/** No field holds a larger number, and the parser counts a range out before it looks at its ends. */
export const isBoundedCron = (expression: string): boolean =>
  expression.length <= mostLength && !/\d{3}/.test(expression);

/**
 * Five or six fields (the first of six: seconds). Throws SCHEDULE_INVALID for a wrong expression, an unknown zone, and an expression
 * that no day fits.
 *
 * Where clocks go forward, a time that is skipped fires as long after the change as it lies after its beginning. Where they go back, a
 * time that comes twice fires the first time; expressions for every hour fire in both hours, and in no skipped one.
 */
export function cronTimes(expression: string, zone: string): CronTimes {
  if (!isBoundedCron(expression))
    throw new HildaError('SCHEDULE_INVALID', `"${expression.slice(0, mostLength)}" is no cron expression`);
  const { valid, errors } = validateDetailed(expression);
  if (!valid)
    throw new HildaError(
      'SCHEDULE_INVALID',
      `"${expression}" is no cron expression: ${errors.map(({ message }) => message).join('; ')}`,
    );
  const wall = wallClock(zone);
  const { second, minute, hour, month } = parse(expression);
  const times = { second, minute, hour, isHourly: hour.length === 24, wall };
  const next = (afterMs: number): number | null => {
    // Of days, node-cron knows more than numbers: the last of a month, the second Monday.
    const probe = createTask(expression, () => {}, { timezone: 'UTC' });
    try {
      const isDay = (dayUtc: number): boolean =>
        month.includes(new Date(dayUtc).getUTCMonth() + 1) &&
        probe.match(new Date(dayUtc + clockMs(hour[0] ?? 0, minute[0] ?? 0, second[0] ?? 0)));
      // A skipped time may fire on the day after: begin with the day before.
      const first = Math.floor((afterMs + wall.offset(afterMs)) / dayMs) - 1;
      for (let day = first; day < first + mostDays; day++) {
        if (!isDay(day * dayMs)) continue;
        const found = firstOfDay(day * dayMs, afterMs, times);
        if (found !== null) return found;
      }
      return null;
    } finally {
      void probe.destroy();
    }
  };
  if (next(0) === null)
    throw new HildaError('SCHEDULE_INVALID', `no day fits "${expression}"`, {
      hint: 'For example, no month has both a 30th day and the name February.',
    });
  return { next };
}

interface Times {
  readonly second: readonly number[];
  readonly minute: readonly number[];
  readonly hour: readonly number[];
  readonly isHourly: boolean;
  readonly wall: WallClock;
}

/** `day`: midnight of the local day, as if it were UTC. */
function firstOfDay(day: number, afterMs: number, times: Times): number | null {
  const { second, minute, hour, isHourly, wall } = times;
  // The offsets a day before and after: where they agree, the day has no change.
  const offsets = [wall.offset(day - dayMs), wall.offset(day + 2 * dayMs)] as const;
  const changes = offsets[0] !== offsets[1];
  let best: number | null = null;
  for (const h of hour)
    for (const m of minute)
      for (const s of second) {
        const local = day + clockMs(h, m, s);
        for (const at of changes ? momentsOf(local, offsets, isHourly, wall) : [local - offsets[0]])
          if (at > afterMs && (best === null || at < best)) best = at;
        // Without a change the order is that of the clock.
        if (best !== null && !changes) return best;
      }
  return best;
}

/** The moments at which a local clock shows a time, on a day around which its offset changes. */
function momentsOf(
  local: number,
  [before, after]: readonly [number, number],
  isHourly: boolean,
  wall: WallClock,
): number[] {
  const shown = [local - before, local - after]
    .filter((at) => at + wall.offset(at) === local)
    .sort((a, b) => a - b);
  if (shown.length > 0) return isHourly ? shown : shown.slice(0, 1);
  // Skipped: by the offset of before, it lies as long after the change.
  return isHourly ? [] : [local - before];
}

interface WallClock {
  /** How far the zone's clock is ahead of UTC at a moment, ms. */
  offset(atMs: number): number;
}

/** Throws SCHEDULE_INVALID. */
function wallClock(timeZone: string): WallClock {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch (cause) {
    throw new HildaError('SCHEDULE_INVALID', `there is no time zone "${timeZone}"`, {
      hint: 'Name one of the IANA database, such as Europe/Berlin or UTC.',
      cause,
    });
  }
  return {
    offset: (atMs) => {
      const whole = Math.floor(atMs / 1000) * 1000;
      const parts = new Map(format.formatToParts(whole).map(({ type, value }) => [type, Number(value)]));
      const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
      return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second')) - whole;
    },
  };
}

const clockMs = (hour: number, minute: number, second: number): number =>
  ((hour * 60 + minute) * 60 + second) * 1000;

/** Minutes since midnight on a zone's clock. */
export const minuteOfDay = (atMs: number, zone: string): number =>
  Math.floor(((((atMs + wallClock(zone).offset(atMs)) % dayMs) + dayMs) % dayMs) / 60_000);
