import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { formatBytes } from '../../core/quantities.js';
import { act, type Terminal } from '../context.js';

function trialNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new InvalidArgumentError('It must be a whole number from 0.');
  return number;
}

export const searchExportCommand = (terminal: Terminal): Command =>
  new Command('export')
    .description("a trial's sub-network as an ONNX file, its measured manifest beside it")
    .argument('<study>', 'its id')
    .requiredOption('-t, --trial <number>', 'which trial, as numbered in the front', trialNumber)
    .requiredOption('-o, --out <file>', 'where the ONNX file goes; the manifest is named after it, .json')
    .action(
      act(
        terminal,
        async (context, study: string, { trial, out }: { readonly trial: number; readonly out: string }) => {
          const { client } = context;
          const { model, bytes, manifest } = await client.exportTrial(study, trial, context);
          await writeFile(out, await client.modelBytes(model, context));
          const manifestFile = `${out.replace(/\.onnx$/, '')}.json`;
          await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
          context.answer(
            'export',
            { study, trial, model, file: out, manifestFile, bytes },
            () => `${out} (${formatBytes(bytes)}), ${manifestFile}`,
          );
        },
      ),
    );
