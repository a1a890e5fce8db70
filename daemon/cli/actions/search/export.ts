import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { HildaError } from '../../../core/errors.js';
import { formatBytes } from '../../../core/quantities.js';
import { dataRecordSchema } from '../../../data/labelled/data-record.js';
import { withMelFrontEnd } from '../../../data/mel-nodes.js';
import { readOnnx } from '../../../network/read-onnx.js';
import { writeOnnx } from '../../../network/write-onnx.js';
import type { CliContext } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

export async function searchExportAction(
  context: CliContext,
  word: string,
  { trial, out, frontEnd }: { readonly trial: number; readonly out: string; readonly frontEnd?: boolean },
): Promise<void> {
  const { client } = context;
  const study = await resolveId('study', word, context);
  const { model, manifest, ranges } = await client.exportTrial(study, trial, context);
  const features = await client.modelBytes(model, context);
  const network = frontEnd ? withFrontEnd(features, manifest) : features;
  const bytes = network.length;
  await writeFile(out, network);
  const manifestFile = `${out.replace(/\.onnx$/, '')}.json`;
  await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  // With a front end the network is another one.
  const rangesFile = ranges && !frontEnd ? `${out.replace(/\.onnx$/, '')}.ranges.json` : null;
  if (rangesFile) await writeFile(rangesFile, `${JSON.stringify(ranges)}\n`);
  const beside = rangesFile ? [manifestFile, rangesFile] : [manifestFile];
  context.answer(
    'export',
    { study, trial, model, file: out, manifestFile, rangesFile, bytes },
    () => `${out} (${formatBytes(bytes)}), ${beside.join(', ')}`,
  );
}

/** Throws USAGE_INVALID where the network was not trained on recordings. */
function withFrontEnd(network: Uint8Array, manifest: unknown): Uint8Array {
  const parsed = z.object({ data: dataRecordSchema }).safeParse(manifest);
  const sound = parsed.data?.data.sound;
  if (!parsed.success || !sound)
    throw new HildaError('USAGE_INVALID', '--front-end: the network was not trained on recordings');
  const [mean, deviation] = [
    parsed.data.data.normalisation.mean[0],
    parsed.data.data.normalisation.deviation[0],
  ];
  return writeOnnx(
    withMelFrontEnd(readOnnx(network), { ...sound, mean: mean as number, deviation: deviation as number }),
  );
}
