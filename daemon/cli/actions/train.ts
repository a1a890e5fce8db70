import { join, resolve } from 'node:path';
import { HildaError } from '../../core/errors.js';
import type { DataRecord } from '../../data/labelled/data-record.js';
import { openTraining } from '../../train/open-training.js';
import { parseTrainSpec } from '../../train/spec.js';
import { type TrainProgress, trainSupernet } from '../../train/train-supernet.js';
import type { CliContext } from '../context.js';
import { readSpecWithData } from '../data-paths.js';
import { Progress } from '../terminal/progress.js';

interface Options {
  readonly work?: string;
  readonly profiles: string;
  readonly threads: string;
}

/** Runs by itself: training needs no daemon. */
export async function trainAction(context: CliContext, file: string, options: Options): Promise<void> {
  const { terminal } = context;
  const threads = Number(options.threads);
  if (!Number.isInteger(threads) || threads < 1)
    throw new HildaError('USAGE_INVALID', `--threads: ${options.threads} is no count`);
  const spec = parseTrainSpec(await readSpecWithData(file));
  const parts = await openTraining(spec, options.profiles);
  terminal.note(describeData(parts.data));
  const work = resolve(options.work ?? join('train', parts.space.id));
  const exportPath = join(work, 'weights.safetensors');
  let last: TrainProgress | undefined;
  const shown = new Progress(terminal);
  await trainSupernet({
    ...parts,
    spec,
    clock: terminal.clock,
    signal: context.signal,
    checkpointPath: join(work, 'checkpoint.safetensors'),
    exportPath,
    threads,
    onProgress: (progress) => {
      last =
        progress.validation || !last?.validation ? progress : { ...progress, validation: last.validation };
      shown.show(describeProgress(progress));
    },
  }).finally(() => shown.end());
  context.answer(
    'training',
    { weights: exportPath, data: parts.data, progress: last ?? null },
    () => exportPath,
  );
}

const describeData = ({ name, kind, trained, validation, input, classes }: DataRecord): string =>
  `${name} (${kind}): ${trained} training and ${validation} validation examples of ${input.join('x')}, ${classes} classes`;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function describeProgress({
  step,
  totalSteps,
  epoch,
  rate,
  loss,
  trainAccuracy,
  validation,
  trainedMs,
}: TrainProgress): string {
  const shown = `step ${step}/${totalSteps} epoch ${epoch.toFixed(2)} rate ${rate.toPrecision(3)} loss ${loss.toFixed(4)} train ${percent(trainAccuracy)} after ${Math.round(trainedMs / 1000)} s`;
  return validation
    ? `${shown}; validation: largest ${percent(validation.largest)}, smallest ${percent(validation.smallest)}`
    : shown;
}
