import type { ScheduleView } from '../../api/schedule-schemas.js';
import { HildaError } from '../../core/errors.js';
import type { CliContext } from '../context.js';
import { formatTime } from '../format.js';
import { readSuite } from '../read-suite.js';
import { resolveId } from '../resolve-id.js';
import { toneOfState } from '../terminal/layout.js';
import { formatTable } from '../terminal/table.js';

interface Timing {
  readonly cron: string;
  readonly timezone?: string;
  readonly window?: string;
  readonly catchUp?: boolean;
}

/** Throws USAGE_INVALID. */
function timed(name: string, { cron, timezone, window, catchUp = false }: Timing) {
  const [, from, to] = /^(\d\d:\d\d)-(\d\d:\d\d)$/.exec(window ?? '') ?? [];
  if (window !== undefined && (from === undefined || to === undefined))
    throw new HildaError('USAGE_INVALID', `${window} is no window of the day`, {
      hint: 'For example: --window 22:00-06:00',
    });
  return {
    name,
    cron,
    catchUp,
    ...(timezone !== undefined && { timezone }),
    ...(from !== undefined && to !== undefined && { window: { from, to } }),
  };
}

type Request = Parameters<CliContext['client']['addSchedule']>[0];

async function add(context: CliContext, request: Request): Promise<void> {
  const schedule = await context.client.addSchedule(request, context);
  context.answer('schedule-entry', { schedule }, () => described(schedule));
}

export const addSuiteAction = async (
  context: CliContext,
  name: string,
  file: string,
  { compare = null, ...timing }: Timing & { readonly compare?: string | null },
): Promise<void> =>
  add(context, {
    ...timed(name, timing),
    kind: 'suite',
    suite: (await readSuite(file, context)) as never,
    compare,
  });

export const addProbeAction = async (
  context: CliContext,
  name: string,
  word: string,
  { count, refit = false, ...timing }: Timing & { readonly count: number; readonly refit?: boolean },
): Promise<void> => {
  const predictor = await resolveId('predictor', word, context);
  await add(context, { ...timed(name, timing), kind: 'probe', predictor, count, refit });
};

export const addHealthAction = async (
  context: CliContext,
  name: string,
  words: readonly string[],
  timing: Timing,
): Promise<void> => {
  const devices: string[] = [];
  for (const word of words) devices.push(await resolveId('device', word, context));
  await add(context, { ...timed(name, timing), kind: 'health', devices });
};

export const addBackupAction = (
  context: CliContext,
  name: string,
  { keep, ...timing }: Timing & { readonly keep: number },
): Promise<void> => add(context, { ...timed(name, timing), kind: 'backup', keep });

export async function listAction(context: CliContext): Promise<void> {
  const schedules = await context.client.schedules(context);
  context.answerTable(
    'schedule-entries',
    { schedules },
    [
      { title: 'NAME', value: (one) => one.name },
      { title: 'KIND', value: (one) => one.kind },
      { title: 'STATE', value: (one) => one.state, tone: toneOfState },
      { title: 'CRON', value: (one) => one.cron },
      { title: 'ZONE', value: (one) => one.timezone },
      { title: 'NEXT (UTC)', value: (one) => (one.nextMs === null ? '-' : formatTime(one.nextMs)) },
      { title: 'LAST', value: (one) => one.last?.outcome ?? '-', tone: toneOfState },
    ],
    schedules,
    'There are no schedules.',
  );
}

export async function showAction(context: CliContext, name: string): Promise<void> {
  const schedule = await context.client.scheduleNamed(name, context);
  const firings = await context.client.firings(name, context);
  context.answer('schedule-entry', { schedule, firings }, () =>
    [
      described(schedule),
      ...(firings.length === 0
        ? ['It has not fired yet.']
        : [
            formatTable(
              [
                {
                  title: 'PLANNED (UTC)',
                  value: (one: (typeof firings)[number]) => formatTime(one.plannedMs),
                },
                { title: 'OUTCOME', value: (one) => one.outcome, tone: toneOfState },
                { title: 'WHAT', value: ({ detail }) => whatOf(detail) },
              ],
              firings,
              context.terminal,
            ),
          ]),
    ].join('\n'),
  );
}

const act =
  (how: 'pauseSchedule' | 'resumeSchedule' | 'removeSchedule') =>
  async (context: CliContext, name: string): Promise<void> => {
    const schedule = await context.client[how](name, context);
    const text = how === 'removeSchedule' ? `The schedule ${name} is removed.` : described(schedule);
    context.answer('schedule-entry', { schedule }, () => text);
  };
export const pauseAction = act('pauseSchedule');
export const resumeAction = act('resumeSchedule');
export const removeAction = act('removeSchedule');

const described = ({ name, kind, state, cron, timezone, window, nextMs }: ScheduleView): string =>
  [
    `The schedule ${name} (${kind}) is ${state}: "${cron}" in ${timezone}`,
    ...(window ? [`between ${window.from} and ${window.to}`] : []),
    ...(nextMs === null ? [] : [`next at ${formatTime(nextMs)} UTC`]),
  ].join(', ');

/** One line of what a firing left. */
function whatOf(detail: unknown): string {
  if (typeof detail !== 'object' || detail === null) return '';
  const { code, message, ...rest } = detail as { code?: string; message?: string };
  if (code !== undefined) return `${code}: ${message}`;
  return Object.entries(rest)
    .filter(([, value]) => typeof value !== 'object')
    .map(([key, value]) => `${key} ${value}`)
    .join(', ');
}
