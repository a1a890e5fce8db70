import type { DeviceView } from '../api/device-schemas.js';
import type { MeasurementView } from '../api/measurement-schemas.js';
import type { StudySummaryView } from '../api/schemas.js';
import { formatRate, mostAwayMs } from '../core/link/transfer-limits.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatInterval,
  formatLatency,
} from '../core/quantities.js';
import { obtainedWord } from '../core/target.js';
import { formatTime } from './format.js';
import { type Field, formatFields } from './terminal/fields.js';
import { type Layout, plainLayout, toneOfState } from './terminal/layout.js';

function describeLine({ bytesPerS, roundTripMs, downMs }: NonNullable<DeviceView['line']>): string {
  if (downMs !== null)
    return `down for ${formatDuration(downMs)}; waited for ${formatDuration(mostAwayMs)} in all`;
  if (bytesPerS === null) return 'up; nothing was sent over it yet';
  const delay = roundTripMs === null ? '' : `, ${Math.round(roundTripMs)} ms there and back`;
  return `${formatRate(bytesPerS)}${delay}`;
}

/** A peer whose line broke is waited for: it may be back in a moment, or be gone for good. */
export const presentWord = (line: DeviceView['line']): string =>
  typeof line?.downMs === 'number' ? 'cut off' : 'here';

const describeRunning = ({ name, version, rollout, sinceMs }: NonNullable<DeviceView['running']>): string =>
  `${name}${version === null ? '' : ` v${version}`}, by ${rollout ?? 'hand'}, since ${formatTime(sinceMs)} UTC`;

export function describeDevice(
  {
    id,
    state,
    reason,
    present,
    obstacle,
    tags,
    lease,
    label,
    kind,
    target,
    firstSeenMs,
    lastSeenMs,
    line,
    running,
    repeatability,
    health,
  }: DeviceView,
  layout: Layout = plainLayout,
): string {
  const now = present ? (obstacle ?? presentWord(line)) : 'away';
  return formatFields(
    [
      ['device', id],
      [
        'state',
        `${state}${reason ? ` (${reason})` : ''}${lease ? `, in use by ${lease.holder}` : ''}`,
        toneOfState(state),
      ],
      ['now', now, present && obstacle ? 'bad' : toneOfState(now)],
      ['tags', tags.join(', ') || 'none'],
      ['model', label],
      ['driver', kind],
      [
        'runtime',
        `${target.runtime} ${target.runtimeVersion}, ${target.provider}, ${target.threads} thread(s), ${target.dtype}`,
      ],
      ['seen', `${formatTime(firstSeenMs)} to ${formatTime(lastSeenMs)} UTC`],
      ['runs', running ? describeRunning(running) : 'nothing that is known'],
      ...(line ? [['line', describeLine(line)] as const] : []),
      ...(repeatability ? [['repeats', describeRepeatability(repeatability)] as const] : []),
      ...(health === undefined ? [] : [['health', health] as const]),
    ],
    layout,
  );
}

/** How far two sessions of one network lie apart here, and since when that is known. */
function describeRepeatability({
  between,
  repeats,
  sinceMs,
  updatedMs,
}: NonNullable<DeviceView['repeatability']>): string {
  const spread = `latencies spread by ${formatShare(between)} from session to session`;
  if (repeats === 0 || sinceMs === null || updatedMs === null) return `${spread} (assumed: no repeat yet)`;
  return `${spread}, learnt from ${repeats} repeats since ${formatTime(sinceMs)} UTC, last ${formatTime(updatedMs)}`;
}

/** A runner of a phone may not tell. */
const formatKnown = (us: number | null): string => (us === null ? 'not told' : formatLatency(us));

const formatShare = (share: number): string => `${(share * 100).toPrecision(2)} %`;

export function describeMeasurement(
  {
    id,
    deviceId,
    target,
    provenance,
    protocol,
    latency,
    counts,
    memory,
    verdict,
    reason,
    manifest,
    durationMs,
  }: MeasurementView,
  layout: Layout = plainLayout,
): string {
  return formatFields(
    [
      ['measurement', id],
      ['device', deviceId],
      ...(target.network ? ([['network', target.network]] as Lines) : []),
      ...(latency ? describeLatency(latency, obtainedWord(provenance, target)) : []),
      ...(counts ? describeCounts(counts, provenance) : []),
      [
        'memory',
        memory.peakBytes === null || memory.activationPeakBytes === null
          ? `weights ${formatBytes(memory.weightBytes)}; activations unknown`
          : `${formatBytes(memory.peakBytes)} = weights ${formatBytes(memory.weightBytes)} + activations ${formatBytes(memory.activationPeakBytes)}`,
      ],
      ...describeInputs(manifest.inputs),
      ...describeUncounted(manifest.uncounted),
      ['verdict', `${verdict}: ${reason}`, toneOfState(verdict)],
      ['protocol', `${protocol}, ${formatDuration(durationMs)}`],
    ],
    layout,
  );
}

/** Operators whose cost is not known: no MACs were held against the time. */
function describeUncounted(uncounted: unknown): Lines {
  if (!Array.isArray(uncounted)) return [];
  return [['uncounted', `${uncounted.map(({ op }) => op).join(', ')}: MACs unknown`]];
}

/** What the network was run with, where the manifest says so. */
function describeInputs(inputs: unknown): Lines {
  if (!Array.isArray(inputs)) return [];
  return inputs.map(({ name, dtype, dims, values }) => [
    'input',
    `${name} ${dtype} ${dims.join(' x ') || 'scalar'}, ${typeof values === 'string' ? values : 'as given'}`,
  ]);
}

type Spread = NonNullable<NonNullable<MeasurementView['latency']>['spread']>;
type Lines = Field[];

function describeLatency(latency: NonNullable<MeasurementView['latency']>, provenance: string): Lines {
  const { rawUs, normalisedUs, normalisedCiUs, loadUs, firstRunUs, spread, clockOff } = latency;
  return [
    [
      'latency',
      `${formatLatency(normalisedUs)}, 95 % ${formatInterval(normalisedCiUs)} (normalised, ${provenance})`,
    ],
    ...(spread ? [['spread', describeSpread(spread)] as const] : []),
    ...(clockOff ? [['clock', `may be off by ${formatShare(clockOff)}, in the interval`] as const] : []),
    [
      'raw',
      `median ${formatLatency(rawUs.median)}, p90 ${formatLatency(rawUs.p90)}, min ${formatLatency(rawUs.min)}, ${rawUs.n} rounds`,
    ],
    ['load', `${formatKnown(loadUs)}, first run ${formatKnown(firstRunUs)}`],
  ];
}

/** Both parts of the interval, and what the second one rests on. */
function describeSpread({ within, between, regime, sessions, repeats }: Spread): string {
  const source = repeats === 0 ? 'assumed' : `from ${repeats} repeats`;
  const number = sessions === 1 ? 'one session' : `${sessions} sessions`;
  return `${formatShare(within)} within a session, ${formatShare(between)} between sessions (${source})${regime > 0.005 ? `, ${formatShare(regime)} by the machine's state` : ''}; ${number}`;
}

/** Cycles of an emulated core are a model's: said each time. */
function describeCounts(counts: NonNullable<MeasurementView['counts']>, provenance: string): Lines {
  const unit = counts.unit === 'cycles' && provenance === 'emulated' ? 'cycles (modelled)' : counts.unit;
  const heaviest = [...counts.operators].sort((a, b) => b.count - a.count).slice(0, 3);
  return [
    ['count', `${counts.total} ${unit}, ${provenance}, ${counts.weights} weights`],
    ['heaviest', heaviest.map(({ op, name, count }) => `${op} ${name} ${formatCount(count)}`).join(', ')],
    [
      'RAM',
      `${formatBytes(counts.peakRamBytes)} = arena ${formatBytes(counts.arenaPeakBytes)} (planned ${formatBytes(counts.arenaPlannedBytes)}) + stack ${formatBytes(counts.stackPeakBytes)}`,
    ],
    ['flash', formatBytes(counts.flashBytes)],
    ['firmware', counts.firmwareBuild.slice(0, 12)],
  ];
}

export function describeStudy({ record, ...counts }: StudySummaryView, layout: Layout = plainLayout): string {
  return formatFields(
    [
      ['study', record.id],
      ['name', record.name],
      [
        'state',
        record.reason ? `${record.state}: ${record.reason}` : record.state,
        toneOfState(record.state),
      ],
      [
        'trials',
        `${counts.complete + counts.infeasible + counts.failed} of ${counts.budgetTrials} (${counts.complete} complete, ${counts.infeasible} infeasible, ${counts.failed} failed)`,
      ],
      ...(counts.devices.length > 1 ? [['measured', describeCoverage(counts.devices)] as const] : []),
      ['front', `${counts.frontSize} points, hypervolume ${counts.hypervolume.toFixed(4)}`],
      ['time left', record.state === 'running' ? describeTimeLeft(counts) : '-'],
    ],
    layout,
  );
}

function describeTimeLeft({
  etaMs,
  expectedTrials,
  budgetTrials,
}: Pick<StudySummaryView, 'etaMs' | 'expectedTrials' | 'budgetTrials'>): string {
  const left = formatDuration(etaMs);
  if (expectedTrials === null || expectedTrials >= budgetTrials) return left;
  return `${left}, which is enough for about ${expectedTrials} trials`;
}

const describeCoverage = (devices: StudySummaryView['devices']): string =>
  devices
    .map(
      ({ deviceId, measured, missing }) =>
        `${deviceId} ${measured}${missing > 0 ? ` (${missing} missing)` : ''}`,
    )
    .join(', ');
