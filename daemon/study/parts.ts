import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import { findId } from '../core/id-beginnings.js';
import type { DeviceId, PredictorId } from '../core/ids.js';
import type { Evaluator } from '../evaluate/contract.js';
import { checkEvaluated } from '../evaluate/given-values.js';
import { createEvaluator } from '../evaluate/registry.js';
import type { Protocol } from '../measure/protocol.js';
import { loadProtocol } from '../measure/protocols.js';
import type { OwnedEvaluator } from '../plugins/contract.js';
import { noParts, type PureParts } from '../plugins/pure-parts.js';
import { PredictorBank } from '../predict/bank.js';
import type { Predictions } from '../predict/contract.js';
import type { DataReading } from '../reading/contract.js';
import type { Space } from '../search/spaces/contract.js';
import { costViews, decisionFeatures } from '../search/spaces/parts/cost-views.js';
import type { DeviceRecord, Store } from '../store/contract.js';
import { openSpace, pinNetwork } from '../train/open-space.js';
import { OutsideEvaluator } from './outside.js';
import { deviceOf, isCostMetric, renameDevices, type StudySpec } from './spec.js';

/** What a study needs besides store, devices and sampler, made from its specification. */
export interface StudyParts extends SearchParts {
  readonly evaluator: Evaluator;
}

/** What a search needs that measures and evaluates nothing by itself. */
export interface SearchParts {
  readonly space: Space;
  readonly protocol: Protocol;
  /** Of `budget.protocolWhenSlow`. */
  readonly slowProtocol: Protocol | undefined;
  readonly bank: PredictorBank;
}

/** Replaces a space's name by the content of its file, so that a stored study stands on its own. Throws NOT_FOUND. */
export function resolveSpace(spec: StudySpec, profilesDir: string): StudySpec {
  const file = typeof spec.space === 'string' ? findSpace(spec.space, profilesDir) : spec.space;
  return { ...spec, space: pinNetwork(file, profilesDir) };
}

/** The content of a space file by its name. Throws NOT_FOUND. */
export function findSpace(name: string, profilesDir: string): { readonly kind: string } {
  const folder = join(profilesDir, 'spaces');
  const known = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length));
  if (!known.includes(name)) {
    const found = findId(known, name);
    const near = 'near' in found ? found.near : 'several' in found ? found.several : [found.id];
    const meant = near.length > 0 ? `Did you mean ${near.slice(0, 5).join(' or ')}? ` : '';
    throw new HildaError('NOT_FOUND', `there is no space named ${name}`, {
      hint: `${meant}Known spaces: ${known.join(', ')}. Or give a space file's content.`,
    });
  }
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as { kind: string };
}

/** An adopted device by its id or its unique beginning: see `findId`. Throws DEVICE_UNKNOWN. */
export function adoptedDevice(name: string, devices: readonly DeviceRecord[]): DeviceRecord {
  const adopted = devices.filter((d) => d.state === 'adopted');
  const ids = adopted.map(({ id }) => id as string);
  const found = findId(ids, name);
  const device = 'id' in found ? adopted.find(({ id }) => id === found.id) : undefined;
  if (device) return device;
  const several = 'several' in found ? found.several : undefined;
  const near = 'near' in found ? found.near : [];
  const isSeen = devices.some(({ id }) => id === name);
  const hint = several
    ? `Give more of its id: ${several.slice(0, 5).join(', ')}.`
    : isSeen
      ? `Run \`hilda devices adopt ${name}\`.`
      : near.length > 0
        ? `Did you mean ${near.join(' or ')}?`
        : `Adopted devices: ${ids.join(', ') || 'none; run `hilda devices adopt`'}.`;
  throw new HildaError(
    'DEVICE_UNKNOWN',
    `${several ? 'more than one' : 'no'} adopted device answers to ${name}`,
    { hint, details: { candidates: (several ?? near).slice(0, 20) } },
  );
}

/** Replaces short device names by ids, in metrics too: see `adoptedDevice`. */
export async function resolveDevices(spec: StudySpec, store: Store): Promise<StudySpec> {
  const known = await store.devices();
  return renameDevices(
    spec,
    spec.devices.map((name) => adoptedDevice(name, known).id),
  );
}

/** Answers for a metric before a study has measured anything itself. */
export type PriorPredictor = (architectures: readonly Architecture[]) => Predictions;

/** What a study knows of stored predictors. */
export interface StoredPredictors {
  /** Throws PREDICTOR_UNKNOWN, SPEC_INVALID, TARGET_MISMATCH, TABLE_INCOMPLETE. */
  prior(
    id: PredictorId,
    about: { spaceId: string; metric: string; deviceId: DeviceId },
  ): Promise<PriorPredictor>;
}

/**
 * `others`: evaluators of plug-ins; the last argument, their spaces and models. Without `stored` nothing is predicted before it was learnt: an export needs no more. Throws SPACE_INVALID,
 * SPEC_INVALID, SUPERNET_INVALID, PROTOCOL_UNKNOWN. The caller closes the evaluator.
 */
export async function openStudyParts(
  spec: StudySpec,
  profilesDir: string,
  stored?: StoredPredictors,
  others: readonly OwnedEvaluator[] = [],
  reading?: DataReading,
  pure: Pick<PureParts, 'spaces' | 'models'> = noParts,
): Promise<StudyParts> {
  const parts = await openSearchParts(spec, profilesDir, stored, pure);
  const outside = outsideMetrics(spec);
  const evaluator = outside
    ? new OutsideEvaluator(parts.space.id, outside)
    : await createEvaluator(spec.evaluator, {
        space: parts.space,
        file: spec.space,
        profilesDir,
        others,
        ...(reading && { reading }),
      });
  return { ...parts, evaluator };
}

/** The parts of `openStudyParts` that need no data set, program or weights. Throws what it throws. */
export async function openSearchParts(
  spec: StudySpec,
  profilesDir: string,
  stored: StoredPredictors | undefined,
  { spaces, models }: Pick<PureParts, 'spaces' | 'models'> = noParts,
): Promise<SearchParts> {
  const space = openSpace(spec.space, profilesDir, spaces);
  const protocol = loadProtocol(spec.protocol, join(profilesDir, 'protocols'));
  const { maxMinutes, protocolWhenSlow } = spec.budget;
  if (protocolWhenSlow !== undefined && maxMinutes === undefined)
    throw new HildaError('SPEC_INVALID', 'budget.protocolWhenSlow: needs budget.maxMinutes', {
      details: { fields: ['budget.protocolWhenSlow'] },
    });
  const slowProtocol =
    protocolWhenSlow === undefined
      ? undefined
      : loadProtocol(protocolWhenSlow, join(profilesDir, 'protocols'));
  const priors = await priorsOf(spec, space, stored);
  const bank = new PredictorBank({
    costViews: (architecture: Architecture) => costViews(space, architecture),
    decisionFeatures: (architecture: Architecture) => decisionFeatures(space, architecture),
    kindOf: (metric: string) => (isCostMetric(metric) ? 'cost' : 'quality'),
    priors,
    models,
  });
  return { space, protocol, slowProtocol, bank };
}

const externalSchema = z.strictObject({
  kind: z.literal('external'),
  metrics: z.array(z.string()).min(1).default(['accuracy']),
});

/** What results from outside must hold; undefined where the study evaluates by itself. Throws SPEC_INVALID. */
export function outsideMetrics(spec: Pick<StudySpec, 'evaluator'>): readonly string[] | undefined {
  if (spec.evaluator.kind !== 'external') return undefined;
  const parsed = externalSchema.safeParse(spec.evaluator);
  if (!parsed.success)
    throw new HildaError('SPEC_INVALID', `the evaluator is not valid: ${z.prettifyError(parsed.error)}`);
  checkEvaluated(parsed.data.metrics, 'evaluator.metrics');
  return parsed.data.metrics;
}

async function priorsOf(
  spec: StudySpec,
  space: Space,
  stored: StoredPredictors | undefined,
): Promise<ReadonlyMap<string, PriorPredictor>> {
  const priors = new Map<string, PriorPredictor>();
  if (!stored) return priors;
  for (const { metric, predictor } of spec.predictors) {
    const device = spec.devices[deviceOf(metric, spec) ?? -1];
    if (device === undefined)
      throw new HildaError('SPEC_INVALID', `predictors: ${metric} is no cost of a device`, {
        details: { fields: ['predictors'] },
      });
    const [bare] = metric.split('@') as [string];
    const about = { spaceId: space.id, metric: bare, deviceId: device as DeviceId };
    priors.set(metric, await stored.prior(predictor as PredictorId, about));
  }
  return priors;
}
