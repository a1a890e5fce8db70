import type { RolloutView } from '../../api/rollout-schemas.js';
import { HildaError } from '../../core/errors.js';
import type { rolloutSteps } from '../../store/state-names.js';
import type { CliContext } from '../context.js';
import { formatTime } from '../format.js';
import { modelUpload } from '../model-files.js';
import { readSpec } from '../read-input.js';
import { resolveId } from '../resolve-id.js';
import { toneOfState } from '../terminal/layout.js';
import { formatTable } from '../terminal/table.js';

interface StartOptions {
  readonly study?: string;
  readonly trial?: number;
  readonly model?: string;
  readonly devices: readonly string[];
  readonly name?: string;
  readonly wave: readonly string[];
  readonly pauseS?: number;
  readonly stopAfter?: number;
  readonly wait?: boolean;
}

const pollMs = 500;

type Step = (typeof rolloutSteps)[number];

/** Begins a rollout by a file, by options, or by both: options win. */
export async function startAction(
  context: CliContext,
  file: string | undefined,
  options: StartOptions,
): Promise<void> {
  const { client } = context;
  const { study, trial, model, devices, name, wave, pauseS, stopAfter, wait } = options;
  const given = file === undefined ? {} : ((await readSpec(file)) as Record<string, unknown>);
  const asked: Record<string, unknown> = {
    ...given,
    ...(name !== undefined && { name }),
    ...(study !== undefined && { study: await resolveId('study', study, context) }),
    ...(trial !== undefined && { trial }),
    ...(wave.length > 0 && { waves: wave.map((one) => (/^-?\d+$/.test(one) ? Number(one) : one)) }),
    ...(pauseS !== undefined && { pauseS }),
    ...(stopAfter !== undefined && { stop: { failed: stopAfter } }),
  };
  const words = devices.length > 0 ? devices : [asked.devices ?? []].flat().map(String);
  if (words.length === 0)
    throw new HildaError('USAGE_INVALID', 'name devices: --devices SELECTOR, or `devices` of the file');
  const named: string[] = [];
  for (const word of words) named.push(await resolveId('device', word, context));
  const asksModel = model ?? (typeof asked.model === 'string' ? asked.model : undefined);
  const request = {
    ...asked,
    devices: named,
    ...(asksModel !== undefined && { model: await modelId(asksModel, context) }),
  };
  let rollout = await client.startRollout(request, context);
  while (wait && isUnderWay(rollout)) {
    await context.terminal.clock.sleep(pollMs, context);
    rollout = await client.rollout(rollout.id, context);
  }
  context.answer('rollout', { rollout }, () => described(rollout));
  if (wait && rollout.reason)
    throw new HildaError('ROLLOUT_STOPPED', `${rollout.id} is ${rollout.state}: ${rollout.reason.message}`);
}

const isUnderWay = ({ state }: RolloutView): boolean =>
  state === 'checking' || state === 'running' || state === 'aborting';

/** The id of an uploaded model, or a file that is uploaded now. */
async function modelId(word: string, context: CliContext): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(word)) return word;
  return (await context.client.uploadModel(await modelUpload(word), context)).sha256;
}

export async function statusAction(
  context: CliContext,
  id: string,
  { step }: { readonly step?: Step },
): Promise<void> {
  const rollout = await context.client.rollout(id, context);
  const devices = await context.client.rolloutDevices(id, step, context);
  context.answer('rollout', { rollout, devices }, () =>
    [
      described(rollout),
      devices.length === 0
        ? 'No device is at such a step.'
        : formatTable(
            [
              { title: 'DEVICE', value: (one: (typeof devices)[number]) => one.deviceId },
              { title: 'WAVE', align: 'right', value: (one) => String(one.wave + 1) },
              { title: 'STEP', value: (one) => one.step, tone: toneOfState },
              { title: 'SINCE (UTC)', value: (one) => formatTime(one.sinceMs) },
              { title: 'BEFORE', value: ({ before }) => (before ? versioned(before) : '-') },
              { title: 'WHY', value: ({ reason }) => (reason ? `${reason.code}: ${reason.message}` : '') },
            ],
            devices,
            context.terminal,
          ),
    ].join('\n'),
  );
}

export async function listAction(context: CliContext, { limit }: { readonly limit: number }): Promise<void> {
  const { rollouts, total } = await context.client.rollouts({ limit }, context);
  context.answerTable(
    'rollouts',
    { rollouts, total },
    [
      { title: 'ROLLOUT', value: (one) => one.id },
      { title: 'NETWORK', value: versioned },
      { title: 'STATE', value: (one) => one.state, tone: toneOfState },
      { title: 'WAVE', value: ({ wave, waves }) => `${wave + 1} of ${waves.length}` },
      { title: 'DEVICES', value: countsText },
      { title: 'BEGAN (UTC)', value: (one) => formatTime(one.createdMs) },
      { title: 'WHY', value: ({ reason }) => reason?.message ?? '' },
    ],
    rollouts,
    'There are no rollouts.',
  );
}

const act =
  (how: 'pauseRollout' | 'resumeRollout') =>
  async (context: CliContext, id: string): Promise<void> => {
    const rollout = await context.client[how](id, context);
    context.answer('rollout', { rollout }, () => described(rollout));
  };
export const pauseAction = act('pauseRollout');
export const resumeAction = act('resumeRollout');

export async function abortAction(
  context: CliContext,
  id: string,
  { keep = false }: { readonly keep?: boolean },
): Promise<void> {
  const rollout = await context.client.abortRollout(id, keep, context);
  context.answer('rollout', { rollout }, () => described(rollout));
}

export async function historyAction(
  context: CliContext,
  word: string,
  { limit }: { readonly limit: number },
): Promise<void> {
  const isRollout = /^rollout-\d+$/.test(word);
  const id = isRollout ? word : await resolveId('device', word, context);
  const { changes, total } = await context.client.deviceChanges(
    isRollout ? `/rollouts/${id}` : `/devices/${encodeURIComponent(id)}`,
    limit,
    context,
  );
  context.answerTable(
    'device-changes',
    { changes, total },
    [
      { title: 'AT (UTC)', value: (one) => formatTime(one.atMs) },
      { title: 'DEVICE', value: (one) => one.deviceId },
      { title: 'STEP', value: (one) => one.step, tone: toneOfState },
      { title: 'NETWORK', value: versioned },
      { title: 'BY', value: (one) => one.rollout ?? 'hand' },
      { title: 'WHY', value: ({ reason }) => (reason ? `${reason.code}: ${reason.message}` : '') },
    ],
    changes,
    'Nothing has changed there.',
  );
}

const versioned = ({ name, version }: { readonly name: string; readonly version: number | null }): string =>
  version === null ? name : `${name} v${version}`;

const countsText = ({ counts }: RolloutView): string =>
  Object.entries(counts)
    .map(([step, count]) => `${count} ${step}`)
    .join(', ');

const described = (rollout: RolloutView): string =>
  [
    `${rollout.id}: ${versioned(rollout)} (${rollout.source}) is ${rollout.state}, wave ${rollout.wave + 1} of ${rollout.waves.length}`,
    `devices: ${countsText(rollout)}`,
    ...(rollout.waitUntilMs === null || rollout.state !== 'running'
      ? []
      : [`the wave begins at ${formatTime(rollout.waitUntilMs)} UTC`]),
    ...(rollout.reason ? [`${rollout.reason.code}: ${rollout.reason.message}`, rollout.reason.hint] : []),
  ].join('\n');
