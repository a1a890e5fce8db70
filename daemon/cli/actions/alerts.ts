import type { AlertView, ChangeAlertView, MuteView } from '../../api/alert-schemas.js';
import type { AlertState } from '../../store/alert-contract.js';
import type { CliContext } from '../context.js';
import { describeChange, percent } from '../describe-change.js';
import { formatTime } from '../format.js';
import { resolveId } from '../resolve-id.js';

interface ListOptions {
  readonly state?: AlertState;
  readonly device?: string;
  readonly limit: number;
}

function stateOf(alert: AlertView): string {
  if (alert.acknowledged) return `acknowledged by ${alert.acknowledged.by}`;
  if (alert.muted) return 'muted';
  if (alert.kind !== 'change') return alert.resolvedMs === null ? 'open' : 'open, it is over';
  return alert.returnedAt ? 'open, it went back' : 'open';
}

const ofChange = (alert: AlertView, show: (change: ChangeAlertView) => string): string =>
  alert.kind === 'change' ? show(alert) : '';

/** What an alert is about, in few words. */
const aboutOf = (alert: AlertView): string =>
  alert.kind === 'change'
    ? `${alert.metric} ${percent(alert.ratio)} on ${alert.deviceId}`
    : `${alert.kind} ${alert.subject}`;

export async function listAlerts(context: CliContext, options: ListOptions): Promise<void> {
  const device =
    options.device === undefined ? undefined : await resolveId('device', options.device, context);
  const filter = { ...options, ...(device !== undefined && { device }) };
  const { alerts, total } = await context.client.alerts(filter, context);
  context.answerTable(
    'alerts',
    { alerts, total },
    [
      { title: 'ALERT', value: (one) => one.id },
      { title: 'STATE', value: stateOf },
      { title: 'KIND', value: (one) => one.kind },
      { title: 'ABOUT', value: (one) => (one.kind === 'change' ? one.deviceId : one.subject) },
      { title: 'NETWORK', value: (one) => ofChange(one, (change) => change.structureHash.slice(0, 12)) },
      { title: 'METRIC', value: (one) => ofChange(one, (change) => change.metric) },
      { title: 'CHANGE', align: 'right', value: (one) => ofChange(one, (change) => percent(change.ratio)) },
      {
        title: 'SINCE',
        value: (one) =>
          one.kind === 'change' ? `${one.since}, ${formatTime(one.sinceMs)}` : formatTime(one.raisedMs),
      },
      {
        title: 'WHAT ELSE CHANGED',
        value: (one) =>
          one.kind === 'change' ? one.differences.map(({ path }) => path).join(', ') : one.text,
      },
    ],
    alerts,
    options.state || device ? 'There are no such alerts.' : 'No alert was raised.',
  );
}

function describe(alert: AlertView): string {
  const note = alert.acknowledged?.note ? [`  note: ${alert.acknowledged.note}`] : [];
  if (alert.kind !== 'change') return [`${alert.id} is ${stateOf(alert)}: ${alert.text}`, ...note].join('\n');
  return [
    `${alert.id} is ${stateOf(alert)}: ${alert.metric} of the network ${alert.structureHash.slice(0, 12)} on ${alert.deviceId}`,
    ...describeChange(alert),
    ...note,
    `\`hilda history ${alert.foundAt} --metric ${alert.metric}\` shows the series.`,
  ].join('\n');
}

export async function showAlert(context: CliContext, id: string): Promise<void> {
  const alert = await context.client.alert(id, context);
  context.answer('alert', { alert }, () => describe(alert));
}

export async function acknowledgeAlert(
  context: CliContext,
  id: string,
  { note }: { readonly note: string },
): Promise<void> {
  const alert = await context.client.acknowledge(id, { note }, context);
  context.answer('alert', { alert }, () => describe(alert));
}

interface MuteOptions {
  readonly device?: string;
  readonly network?: string;
  readonly metric?: MuteView['metric'];
  readonly hours?: number;
  readonly note: string;
}

const covers = ({ deviceId, structureHash, metric }: MuteView): string =>
  [
    metric ?? 'all metrics',
    structureHash === null ? 'of all networks' : `of the network ${structureHash.slice(0, 12)}`,
    `on ${deviceId ?? 'all devices'}`,
  ].join(' ');
const untilOf = ({ untilMs }: MuteView): string => (untilMs === null ? '' : formatTime(untilMs));

export async function muteAlerts(
  context: CliContext,
  { device, network, metric, hours, note }: MuteOptions,
): Promise<void> {
  const mute = await context.client.mute(
    {
      ...(device !== undefined && { device: await resolveId('device', device, context) }),
      ...(network !== undefined && { network }),
      ...(metric && { metric }),
      ...(hours !== undefined && { untilMs: context.terminal.clock.nowMs() + hours * 3_600_000 }),
      note,
    },
    context,
  );
  context.answer('mute', { mute }, () => {
    const until = mute.untilMs === null ? '`hilda alerts unmute` lifts it' : `until ${untilOf(mute)} UTC`;
    return `${mute.id}: alerts of ${covers(mute)} raise no attention; ${until}.`;
  });
}

export async function listMutes(context: CliContext): Promise<void> {
  const mutes = await context.client.mutes(context);
  context.answerTable(
    'mutes',
    { mutes },
    [
      { title: 'MUTE', value: (one) => one.id },
      { title: 'ALERTS OF', value: covers },
      { title: 'UNTIL', value: untilOf },
      { title: 'BY', value: (one) => one.by },
      { title: 'NOTE', value: (one) => one.note },
    ],
    mutes,
    'Nothing is muted.',
  );
}

export async function liftMute(context: CliContext, id: string): Promise<void> {
  const mute = await context.client.unmute(id, context);
  context.answer('mute', { mute }, () => `Alerts of ${covers(mute)} raise attention again.`);
}

export async function showDigest(context: CliContext): Promise<void> {
  const digest = await context.client.digest(context);
  context.answer('digest', { digest }, () => {
    const { measurements, raised, open, newest, away, quarantined } = digest;
    const verdicts = Object.entries(measurements).map(([verdict, count]) => `${count} ${verdict}`);
    return [
      `Since ${formatTime(digest.fromMs)} UTC: ${verdicts.join(', ') || 'no'} measurements, ${raised} alerts; ${open} are open.`,
      ...newest.map((one) => `  ${one.id}: ${aboutOf(one)}`),
      ...(away.length > 0 ? [`Away: ${away.join(', ')}.`] : []),
      ...quarantined.map(({ id, reason }) => `Quarantined: ${id}${reason === null ? '' : `, ${reason}`}.`),
    ].join('\n');
  });
}
