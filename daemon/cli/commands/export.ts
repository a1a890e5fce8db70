import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Command, Option } from 'commander';
import { formatBytes } from '../../core/quantities.js';
import { bindNetwork, constantInputs } from '../../devices/bind-network.js';
import { exportNetwork } from '../../devices/mcu/export-network.js';
import { givenBindings } from '../bindings.js';
import {
  type CalibrationOptions,
  calibratingFrom,
  randomNote,
  withCalibrationOptions,
} from '../calibration-files.js';
import { act, type Terminal } from '../context.js';
import { type InputOptions, withInputOptions } from '../input-options.js';
import { modelAt } from '../model-files.js';

interface Options extends InputOptions, CalibrationOptions {
  readonly board?: string;
  readonly name?: string;
  readonly out: string;
}

/** Runs by itself: exporting needs neither daemon nor board. */
export const exportCommand = (terminal: Terminal): Command =>
  withInputOptions(
    withCalibrationOptions(
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
        .option('-o, --out <folder>', 'where NAME.c and NAME.h go', '.'),
    ),
  ).action(
    act(terminal, async (context, file: string, { board, out, ...options }: Options) => {
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
    }),
  );
