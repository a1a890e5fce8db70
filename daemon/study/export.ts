import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { boardRanges } from '../devices/mcu/board-ranges.js';
import type { NetworkRanges } from '../devices/stored-ranges.js';
import { structureHash, weightsHash } from '../network/canonical-text.js';
import { readOnnx } from '../network/read-onnx.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { OwnedEvaluator } from '../plugins/contract.js';
import type { PureParts } from '../plugins/pure-parts.js';
import type { MeasurementRecord, Store, StudyRecord } from '../store/contract.js';
import { oneTrial } from '../store/one-trial.js';
import { openStudyParts } from './parts.js';
import { parseStudySpec } from './spec.js';

export interface ExportedTrial {
  readonly onnx: Uint8Array;
  /** What was measured and evaluated for this network, and under which conditions. */
  readonly manifest: Json;
  /** By which boards quantise it as it was scored; null where the evaluator has none, or no board takes it. */
  readonly ranges: NetworkRanges | null;
}

/**
 * The network of a complete trial with the weights it was scored with, and its manifest.
 * Throws NOT_FOUND (no such trial) and STATE_CONFLICT (it is not complete).
 */
export async function exportTrial(
  study: StudyRecord,
  trialNumber: number,
  {
    store,
    profilesDir,
    evaluators,
    pure,
  }: {
    readonly store: Store;
    readonly profilesDir: string;
    readonly evaluators?: readonly OwnedEvaluator[] | undefined;
    readonly pure?: PureParts | undefined;
  },
): Promise<ExportedTrial> {
  const trial = await oneTrial(study.id, trialNumber, store);
  if (trial.state !== 'complete') {
    throw new HildaError(
      'STATE_CONFLICT',
      `trial ${trialNumber} is ${trial.state}: ${trial.reason ?? 'not finished'}`,
      { hint: 'Export a member of the front: `hilda search front`.' },
    );
  }
  const { space, evaluator } = await openStudyParts(
    parseStudySpec(study.spec),
    profilesDir,
    undefined,
    evaluators,
    undefined,
    pure,
  );
  try {
    const { signal } = new AbortController();
    const network =
      (await evaluator.network?.(trial.architecture, { signal })) ?? space.network(trial.architecture);
    const measurements = await Promise.all(
      Object.values(trial.measurements).map((id) => store.measurement(id)),
    );
    const onnx = writeOnnx(network);
    const { ranges: ask, rangesOf: source = '' } = evaluator;
    return {
      onnx,
      ranges: ask ? await boardRanges(readOnnx(onnx), { ask, source }) : null,
      manifest: {
        schema: 'hilda.manifest.v1',
        study: { id: study.id, name: study.name },
        trial: trialNumber,
        space: space.id,
        architectureId: trial.architectureId,
        architecture: trial.architecture as Json,
        structureHash: structureHash(network),
        weightsHash: weightsHash(network),
        trainedWeights: evaluator.network !== undefined,
        // How inputs are read and normalised, and what the classes are called.
        data: (evaluator.data ?? null) as Json,
        values: trial.values,
        evidence: trial.evidence as unknown as Json,
        measurements: measurements.map(summarised),
      },
    };
  } finally {
    await evaluator.close();
  }
}

/** A measurement without its rounds, which stay in the store. */
function summarised({
  id,
  deviceId,
  target,
  provenance,
  protocol,
  verdict,
  reason,
  latency,
  memory,
  manifest,
  takenAtMs,
}: MeasurementRecord): Json {
  return {
    id,
    deviceId,
    target,
    provenance,
    protocol,
    verdict,
    reason,
    latency,
    memory,
    conditions: manifest,
    takenAtMs,
  } as unknown as Json;
}
