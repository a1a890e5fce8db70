import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Command, Option } from 'commander';
import { formatBytes } from '../../core/quantities.js';
import { bindNetwork } from '../../devices/bind-network.js';
import { exportNetwork } from '../../devices/mcu/export-network.js';
import { givenBindings } from '../bindings.js';
import { act, type Terminal } from '../context.js';
import { type InputOptions, withInputOptions } from '../input-options.js';
import { modelAt } from '../model-files.js';
import { readValues } from '../read-values.js';

interface Options extends InputOptions {
  readonly board?: string;
  readonly name?: string;
  readonly out: string;
  readonly calibration: readonly string[];
}

/** Runs by itself: exporting needs neither daemon nor board. */
export const exportCommand = (terminal: Terminal): Command =>
  withInputOptions(
    new Command('export')
      .description("a network as source code for one's own firmware: runtime, operators used, weights")
      .argument(
        '<model>',
        'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
      )
      .addOption(new Option('-f, --format <format>', 'what to write').choices(['c']).default('c'))
      .option(
        '-b, --board <name>',
        'a board of profiles/boards, for its fast kernels and its limits (default: any core)',
      )
      .option('-n, --name <name>', "beginning of all names in C (default: the file's name)")
      .option('-o, --out <folder>', 'where NAME.c and NAME.h go', '.')
      .option(
        '-c, --calibration <file...>',
        'inputs that the network will see, for its 8-bit scales: JSON arrays or float32 files',
        [],
      ),
  ).action(
    act(terminal, async (context, file: string, { board, out, calibration, ...options }: Options) => {
      const plain = basename(file)
        .replace(/\.(onnx|tflite)$/, '')
        .toLowerCase()
        .replaceAll(/[^a-z0-9_]/g, '_');
      const name = options.name ?? plain.replace(/^(?=\d)/, 'n');
      const inputs = await Promise.all(calibration.map(readValues));
      if (inputs.length === 0) terminal.note('no --calibration: the 8-bit scales come from random inputs');
      const network = await modelAt(file);
      const bound = await bindNetwork(network, await givenBindings(options, network));
      const made = await exportNetwork(bound, {
        ...(board !== undefined && { board }),
        name,
        calibration: inputs,
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
    }),
  );
