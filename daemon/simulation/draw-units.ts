import { sha256Hex } from '../core/hash.js';
import { gaussian, type Rng, Xoshiro128 } from '../core/rng.js';
import type { Firmware, Mishap } from '../devices/virtual/mishaps.js';
import type { VirtualUnitOptions } from '../devices/virtual/unit.js';
import { type FleetEvent, type FleetSpec, momentMs, spanOf } from './spec.js';

/** A device of the fleet, with what will befall it. */
export interface DrawnUnit extends VirtualUnitOptions {
  readonly group: string;
  readonly tags: readonly string[];
  readonly mishaps: readonly Mishap[];
  readonly firmware: readonly Firmware[];
}

const monthMs = 30 * 86_400_000;
const minuteMs = 60_000;

/** All devices of a specification. Each draws by its id and the seed: another device more changes nothing of the others. */
export function drawUnits(spec: FleetSpec): DrawnUnit[] {
  const [startMs, endMs] = spanOf(spec);
  return spec.devices.flatMap(({ name, count, tags, speed, spread, firmware, noise, thermal }) =>
    Array.from({ length: count }, (_, i): DrawnUnit => {
      const id = `virtual-${name}-${i}`;
      const events = spec.events
        .map((event, at) => ({ event, rng: rngOf(spec.seed, `${id} event ${at}`) }))
        .filter(({ event, rng }) => rng.next() < event.share && isMeant(event, name));
      const own: Firmware = { version: firmware, fromMs: startMs - 2 * monthMs, factor: 1 };
      return {
        id,
        group: name,
        tags,
        model: `virtual ${name}`,
        seed: spec.seed,
        speed: speed * Math.exp(spread * gaussian(rngOf(spec.seed, `${id} speed`))),
        noise,
        thermal,
        firmware: [own, ...events.flatMap(({ event }) => firmwareOf(event))],
        mishaps: events
          .flatMap(({ event, rng }) => mishapsOf(event, rng, startMs, endMs))
          .sort((a, b) => a.fromMs - b.fromMs),
      };
    }),
  );
}

const isMeant = ({ groups }: FleetEvent, group: string): boolean =>
  groups === undefined || groups.includes(group);

const rngOf = (seed: number, what: string): Rng =>
  Xoshiro128.fromSeed(Number.parseInt(sha256Hex(`${seed} ${what}`).slice(0, 8), 16));

const firmwareOf = (event: FleetEvent): Firmware[] =>
  event.kind === 'firmware'
    ? [{ version: event.version, fromMs: momentMs(event.at), factor: event.slower }]
    : [];

/** At its date, or with exponential times in between (a Poisson process). */
function mishapsOf(event: FleetEvent, rng: Rng, startMs: number, endMs: number): Mishap[] {
  if (event.kind === 'firmware') return [];
  const { kind, minutes, at, perMonth = 0 } = event;
  const [least, most] = typeof minutes === 'number' ? [minutes, minutes] : minutes;
  const from = (fromMs: number): Mishap => ({
    kind,
    fromMs: Math.round(fromMs),
    untilMs: Math.round(fromMs + minuteMs * (least + (most - least) * rng.next())),
  });
  if (at !== undefined) return [from(momentMs(at))];
  const found: Mishap[] = [];
  const step = (): number => (-Math.log(1 - rng.next()) * monthMs) / perMonth;
  if (perMonth > 0) for (let ms = startMs + step(); ms < endMs; ms += step()) found.push(from(ms));
  return found;
}
