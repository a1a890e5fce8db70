import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { formatBytes } from '../../core/quantities.js';
import { bindNetwork, constantInputs } from '../../devices/bind-network.js';
import { exportNetwork } from '../../devices/mcu/export-network.js';
import { givenBindings } from '../bindings.js';
import { calibratingFrom } from '../calibration-files.js';
import { type CalibrationOptions, randomNote } from '../calibration-options.js';
import type { CliContext } from '../context.js';
import type { InputOptions } from '../input-options.js';
import { modelAt } from '../model-files.js';

interface Options extends InputOptions, CalibrationOptions {
  readonly board?: string;
  readonly name?: string;
  readonly out: string;
}

/** Runs by itself: exporting needs neither daemon nor board. */
export async function exportAction(
  context: CliContext,
  file: string,
  { board, out, ...options }: Options,
): Promise<void> {
  const { terminal } = context;
  const plain = basename(file)
    .replace(/\.(onnx|tflite)$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, '_');
  const name = options.name ?? plain.replace(/^(?=\d)/, 'n');
  const network = await modelAt(file);
  const bound = constantInputs(await bindNetwork(network, await givenBindings(options, network)));
  const calibrating = await calibratingFrom(options, bound.inputs);
  if (!calibrating.calibration && !calibrating.ranges) terminal.note(randomNote);
  const made = await exportNetwork(bound, {
    ...(board !== undefined && { board }),
    name,
    ...calibrating,
    signal: context.signal,
  });
  await mkdir(out, { recursive: true });
  const files = [join(out, `${name}.c`), join(out, `${name}.h`)];
  await writeFile(files[0] as string, made.source);
  await writeFile(files[1] as string, made.header);
  const { arenaBytes, flashBytes, calibratedOn } = made;
  context.answer(
    'source',
    { files, arenaBytes, flashBytes, calibratedOn },
    () =>
      `${files.join(', ')}: ${formatBytes(flashBytes)} of flash beside the code, arena ${formatBytes(arenaBytes)}`,
  );
}
