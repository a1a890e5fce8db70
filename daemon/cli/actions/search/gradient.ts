import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { evaluatedText } from '../../../core/comparison-words.js';
import { HildaError } from '../../../core/errors.js';
import type { EvidenceOf } from '../../../core/evidence.js';
import { isLabelled } from '../../../data/labelled/spec.js';
import { openSupernet } from '../../../evaluate/open-supernet.js';
import { writeOnnx } from '../../../network/write-onnx.js';
import { parseTable } from '../../../predict/tables/table-formats.js';
import { mbconvFileSchema } from '../../../search/spaces/mbconv/file.js';
import { deriveWinners, type GradientWinner } from '../../../train/derive-winners.js';
import { parseGradientSpec } from '../../../train/gradient-spec.js';
import { openTraining, spaceFile } from '../../../train/open-training.js';
import { searchByGradient } from '../../../train/search-by-gradient.js';
import { readSupernet, supernetPath } from '../../../train/weights/supernet-weights.js';
import type { CliContext } from '../../context.js';
import { readSpecWithData } from '../../data-paths.js';
import { readInput } from '../../read-input.js';
import { Progress } from '../../terminal/progress.js';
import type { Column } from '../../terminal/table.js';
import { wholeNumber } from '../../whole-number.js';

interface Options {
  readonly profiles: string;
  readonly threads: string;
  readonly out?: string;
}

interface Row extends GradientWinner {
  readonly choices: readonly (number | string)[];
  /** What the accuracy rests on. */
  readonly evidence: EvidenceOf;
}

/** Runs by itself, like training: it needs tables, not devices. */
export async function searchGradientAction(
  context: CliContext,
  path: string,
  options: Options,
): Promise<void> {
  const { terminal } = context;
  const spec = parseGradientSpec(await readSpecWithData(path));
  const file = mbconvFileSchema.safeParse(spaceFile(spec.space, options.profiles));
  if (!file.success)
    throw new HildaError('SPEC_INVALID', 'space: the gradient search takes spaces of kind mbconv');
  const { space, images } = await openTraining(spec, options.profiles);
  const targets = await Promise.all(
    spec.targets.map(async ({ name, table, format, reference, loss }) => {
      // Beside the specification, as a reader of it would look for them.
      const at = resolve(dirname(path), table);
      const text = (await readInput(at)).toString('utf8');
      return { name, reference, loss, table: parseTable(text, format, table) };
    }),
  );
  const units = new Map(targets.map(({ name, table }) => [name, table.unit]));
  const weights = spec.weights ?? supernetPath(join(options.profiles, 'supernets'), space.id);
  const progress = new Progress(terminal);
  const found = await searchByGradient({
    spec,
    file: file.data,
    weights: readSupernet(weights, space.id).weights,
    images,
    targets,
    threads: wholeNumber(options.threads, 'threads', 1),
    signal: context.signal,
    onStep: ({ target, step, loss, cost, entropy }) => {
      if ((step + 1) % 10 === 0)
        progress.show(
          `${target}: step ${step + 1}/${spec.steps} loss ${loss.toFixed(4)} expected ${cost.toPrecision(4)} ${units.get(target)} entropy ${entropy.toFixed(3)}`,
        );
    },
  });
  const evaluator = await openSupernet(space, options.profiles, {
    weights,
    ...(isLabelled(spec.dataset) && { dataset: spec.dataset }),
  });
  const rows: Row[] = [];
  let level: number | null;
  const scored = new Map<string, EvidenceOf>();
  try {
    const derived = await deriveWinners(found, {
      ...spec,
      // Of the super-network's sub-network, on the validation images.
      accuracyOf: async (architecture) => {
        const { values, evidence = {} } = await evaluator.evaluate(architecture, context);
        scored.set(JSON.stringify(architecture), evidence);
        return values.accuracy as number;
      },
      onScored: (count) => {
        progress.show(`scored ${count} networks`);
      },
    });
    level = derived.level;
    for (const winner of derived.winners) {
      const choices = winner.architecture.map((i, l) => space.dims?.[l]?.choices[i] ?? i);
      const evidence = scored.get(JSON.stringify(winner.architecture)) ?? {};
      rows.push({ ...winner, choices, evidence });
      if (!options.out) continue;
      await mkdir(options.out, { recursive: true });
      const network = await evaluator.network(winner.architecture, context);
      await writeFile(join(options.out, `${winner.target}.onnx`), writeOnnx(network));
    }
  } finally {
    progress.end();
    await evaluator.close();
  }
  context.answerTable(
    'gradient-search',
    { units: Object.fromEntries(units), level, winners: rows },
    columns(units),
    rows,
    'No target.',
  );
}

const columns = (units: ReadonlyMap<string, string>): Column<Row>[] => [
  { title: 'SEARCHED FOR', value: ({ target }) => target },
  {
    title: 'ACCURACY',
    align: 'right',
    value: ({ accuracy, evidence }) => evaluatedText('accuracy', { accuracy }, evidence),
  },
  ...[...units].map(
    ([on, unit]): Column<Row> => ({
      title: `BY ${on}'S TABLE`,
      align: 'right',
      value: ({ costs }) => `${(costs[on] as number).toPrecision(5)} ${unit}`,
    }),
  ),
  { title: 'LAYERS', value: ({ choices }) => choices.join(' ') },
];
