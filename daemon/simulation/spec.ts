import { z } from 'zod';
import { suiteFileSchema } from '../benchmarks/suites/suite.js';
import { HildaError } from '../core/errors.js';
import { nextFiring, timingFields } from '../schedules/schedule.js';

/** What a virtual fleet is, what befalls it, what is scheduled on it, and for how long it is simulated. */

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'lower-case letters, digits and `-`, at most 40');
const moment = z
  .union([z.iso.datetime({ offset: true, local: true }), z.iso.date()])
  .describe('Such as 2026-01-15 or 2026-01-15T12:00:00Z; UTC where it names no zone.');
const share = z.number().min(0).max(1);
const mostDevices = 20_000;

const devicesSchema = z.strictObject({
  name: name.describe('Ids are `virtual-NAME-0` and so on.'),
  count: z.int().min(1).max(mostDevices),
  tags: z.array(z.string().min(1).max(100)).max(20).default([]),
  speed: z.number().min(0.001).max(1000).default(1),
  spread: z.number().min(0).max(2).default(0).describe('Standard deviation of the logarithm of the speed.'),
  firmware: z.string().min(1).max(50).default('1.0.0'),
  noise: z
    .strictObject({
      within: z.number().min(0).max(1).default(0.01).describe('Of one run, as a share.'),
      between: z.number().min(0).max(1).default(0.005).describe('Of a whole session, as a share.'),
    })
    .prefault({}),
  thermal: z
    .strictObject({
      ambientC: z.number().min(-50).max(100).default(25),
      riseC: z.number().min(0).max(200).default(20),
      minutes: z.number().min(0.01).max(1000).default(4),
      limitC: z.number().min(-50).max(200).default(70),
      slowerPerC: z.number().min(0).max(1).default(0.01),
    })
    .prefault({}),
});

const minutes = z.number().positive().max(5_256_000);
const eventFields = {
  groups: z.array(name).min(1).max(1000).optional().describe('Names of devices; all where it is left out.'),
  share: share.default(1).describe('So much of these devices, drawn by the seed.'),
};
const mishapSchema = z
  .strictObject({
    ...eventFields,
    kind: z.enum(['unplug', 'hang', 'move']),
    minutes: z
      .union([minutes, z.tuple([minutes, minutes])])
      .describe('How long it lasts; of two numbers, drawn between them.'),
    at: moment.optional(),
    perMonth: z.number().min(0).max(10_000).optional().describe('On each device, at random, in 30 days.'),
  })
  .refine(({ at, perMonth }) => (at === undefined) !== (perMonth === undefined), {
    error: 'an event has either `at` or `perMonth`',
  });
const firmwareSchema = z.strictObject({
  ...eventFields,
  kind: z.literal('firmware'),
  at: moment,
  version: z.string().min(1).max(50),
  slower: z
    .number()
    .min(0.01)
    .max(100)
    .default(1)
    .describe('Times since over times with the first firmware; 1.08 is 8 % slower.'),
});

const fleetSchema = z.strictObject({
  fleet: name,
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(1),
  start: moment.default('2026-01-01'),
  days: z.number().min(0.01).max(3660),
  devices: z.array(devicesSchema).min(1).max(1000),
  events: z
    .array(z.discriminatedUnion('kind', [mishapSchema, firmwareSchema]))
    .max(1000)
    .default([]),
  schedules: z
    .array(
      z.strictObject({
        name,
        cron: timingFields.cron,
        timezone: z.string().min(1).max(100).default('UTC'),
        window: timingFields.window,
        compare: z.string().min(1).max(100).nullable().default(null),
        suite: suiteFileSchema,
      }),
    )
    .min(1)
    .max(100),
});
export type FleetSpec = z.infer<typeof fleetSchema>;
export type FleetEvent = FleetSpec['events'][number];

/** Random events in all: what is expected of a specification. */
const mostEvents = 1_000_000;
const dayMs = 86_400_000;

/** UTC milliseconds of a moment of a specification. */
export const momentMs = (text: string): number =>
  Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : text.includes('T') ? `${text}Z` : `${text}T00:00:00Z`);

export const spanOf = ({
  start,
  days,
}: Pick<FleetSpec, 'start' | 'days'>): [startMs: number, endMs: number] => [
  momentMs(start),
  momentMs(start) + Math.round(days * dayMs),
];

/** Throws SPEC_INVALID, which names each field that is wrong, and SCHEDULE_INVALID. */
export function parseFleetSpec(given: unknown, what: string): FleetSpec {
  const parsed = fleetSchema.safeParse(given);
  if (!parsed.success) throw invalid(`${what}: ${z.prettifyError(parsed.error)}`, parsed.error);
  const spec = parsed.data;
  const [startMs, endMs] = spanOf(spec);
  const groups = new Set(spec.devices.map((one) => one.name));
  if (groups.size < spec.devices.length) throw invalid(`${what}: two entries of devices have one name`);
  if (new Set(spec.schedules.map((one) => one.name)).size < spec.schedules.length)
    throw invalid(`${what}: two schedules have one name`);
  const count = spec.devices.reduce((sum, one) => sum + one.count, 0);
  if (count > mostDevices) throw invalid(`${what}: ${count} devices; at most ${mostDevices} are simulated`);
  let expected = 0;
  for (const [i, event] of spec.events.entries()) {
    const unknown = event.groups?.find((one) => !groups.has(one));
    if (unknown !== undefined)
      throw invalid(`${what}: event ${i + 1} names the devices ${unknown}: there are none`);
    if (event.at !== undefined && !(momentMs(event.at) >= startMs && momentMs(event.at) < endMs))
      throw invalid(
        `${what}: event ${i + 1} is at ${event.at}, outside ${iso(startMs)} to ${iso(endMs)}, which is simulated`,
      );
    if ('perMonth' in event && event.perMonth !== undefined)
      expected += (event.perMonth * count * spec.days) / 30;
    if ('minutes' in event && Array.isArray(event.minutes) && event.minutes[0] > event.minutes[1])
      throw invalid(`${what}: event ${i + 1} lasts from ${event.minutes[0]} to ${event.minutes[1]} minutes`);
  }
  if (expected > mostEvents)
    throw invalid(
      `${what}: ${Math.round(expected)} random events are expected; at most ${mostEvents} are simulated`,
    );
  for (const { name, suite, ...timing } of spec.schedules) {
    nextFiring({ ...timing, catchUp: false }, startMs);
    if (suite.networks.some((one) => 'study' in one))
      throw invalid(`${what}: the schedule ${name} names a study: a simulated fleet has none`);
  }
  return spec;
}

const iso = (ms: number): string => new Date(ms).toISOString();

const invalid = (message: string, cause?: unknown): HildaError =>
  new HildaError('SPEC_INVALID', message, {
    hint: 'docs/fleet.md describes each field of a fleet.',
    ...(cause !== undefined && { cause }),
  });
