import type { DeviceHealthView } from '../../../api/health-schemas.js';
import type { CliContext } from '../../context.js';
import { formatTime } from '../../format.js';
import { resolveId } from '../../resolve-id.js';
import { toneOfState } from '../../terminal/layout.js';

export async function devicesHealthAction(
  context: CliContext,
  device: string | undefined,
  { check = false }: { readonly check?: boolean },
): Promise<void> {
  if (device !== undefined) {
    const id = await resolveId('device', device, context);
    if (check) return checkOne(context, id);
    const health = await context.client.deviceHealth(id, context);
    return context.answer('health', { health }, () => describeHealth(health));
  }
  const devices = (await context.client.devices(context)).filter(
    ({ state }) => state === 'adopted' || state === 'quarantined',
  );
  const healths: DeviceHealthView[] = [];
  for (const { id } of devices) healths.push(await context.client.deviceHealth(id, context));
  context.answerTable(
    'healths',
    { healths },
    [
      { title: 'DEVICE', value: (one) => one.deviceId },
      { title: 'STATE', value: (one) => one.state, tone: toneOfState },
      { title: 'LAST DAY', align: 'right', value: (one) => shareOf(one.availability.day.share) },
      { title: 'LAST WEEK', align: 'right', value: (one) => shareOf(one.availability.week.share) },
      { title: 'HEALTH', value: (one) => one.summary },
    ],
    healths,
    'No device is in use.',
  );
}

async function checkOne(context: CliContext, id: string): Promise<void> {
  const check = await context.client.checkHealth(id, context);
  const then = check.followed === null ? '' : `; it is ${check.followed} now`;
  context.answer(
    'check',
    { check },
    () =>
      `${id} ${check.outcome === 'unclear' ? 'gave no clear answer' : check.outcome}${check.why === null ? '' : `: ${check.why}`}${then}`,
  );
}

const shareOf = (share: number | null): string =>
  share === null ? 'unknown' : `${(share * 100).toFixed(1)} %`;

function describeHealth({ deviceId, summary, references, availability, failures }: DeviceHealthView): string {
  const { day, week } = availability;
  const kinds = failures.kinds.map(
    ({ code, count, lastMs }) => `${count} ${code}, last ${formatTime(lastMs)}`,
  );
  return [
    `${deviceId}: ${summary}`,
    ...references.flatMap(describeChart),
    `seen ${shareOf(day.share)} of the last day, ${shareOf(week.share)} of the last week`,
    `${failures.endedJobs} jobs ended in the last week${kinds.length > 0 ? `; failed: ${kinds.join('; ')}` : ''}`,
  ].join('\n');
}

/** Points of a chart that are shown. */
const shown = 8;

function describeChart({
  reference,
  unit,
  points,
  limits,
  falseAlarmRate,
}: DeviceHealthView['references'][number]): string[] {
  if (points.length === 0) return [`${reference} reference: not measured`];
  const figure = (value: number): string => String(Number(value.toPrecision(5)));
  const bounds = limits
    ? `limits ${figure(limits.low)} to ${figure(limits.high)} ${unit} from ${limits.learntFrom} measurements, one false alarm in ${Math.round(1 / falseAlarmRate)}`
    : `${points.length} measurements, too few for limits`;
  return [
    `${reference} reference: ${bounds}`,
    ...points
      .slice(-shown)
      .map(({ measurement, takenAtMs, value, standing, celsius, clockHz }) =>
        [
          `  ${formatTime(takenAtMs)} ${measurement}: ${figure(value)} ${unit}, ${standing}`,
          ...(celsius === null ? [] : [`${celsius} degrees Celsius`]),
          ...(clockHz === null ? [] : [`${figure(clockHz / 1e6)} MHz`]),
        ].join(', '),
      ),
  ];
}
