import { Command } from 'commander';
import { formatBytes } from '../../core/quantities.js';
import { bindingsRequest } from '../bindings.js';
import { act, type Terminal } from '../context.js';
import { type InputOptions, withInputOptions } from '../input-options.js';
import { modelUpload } from '../model-files.js';
import { readValues } from '../read-values.js';

interface Options extends InputOptions {
  readonly device: string;
  readonly calibration: readonly string[];
}

export const deployCommand = (terminal: Terminal): Command =>
  withInputOptions(
    new Command('deploy')
      .description("puts a network with its weights into a board's flash, where it survives a reset")
      .argument(
        '<model>',
        'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
      )
      .requiredOption('-d, --device <id>', 'the board')
      .option(
        '-c, --calibration <file...>',
        'inputs that the network will see, for its 8-bit scales: JSON arrays or float32 files',
        [],
      ),
  ).action(
    act(terminal, async (context, file: string, { device, calibration, ...given }: Options) => {
      const { client } = context;
      const network = await client.uploadModel(await modelUpload(file), context);
      const { sha256 } = network;
      const bindings = await bindingsRequest(given, network, context);
      const inputs = await Promise.all(calibration.map(readValues));
      if (inputs.length === 0) terminal.note('no --calibration: the 8-bit scales come from random inputs');
      const deployment = await client.deploy(
        { model: sha256, device, calibration: inputs, ...bindings },
        context,
      );
      context.answer('deployment', { device, deployment }, () =>
        [
          `deployed  ${formatBytes(deployment.flashBytes)} of flash, arena ${formatBytes(deployment.arenaBytes)}`,
          ...[deployment.input, ...deployment.moreInputs].map(
            ({ name, dims }) => `input     ${name} ${dims.join(' x ')}`,
          ),
          ...[deployment.output, ...deployment.moreOutputs].map(
            ({ name, dims }) => `output    ${name} ${dims.join(' x ')}`,
          ),
          `scales    from ${deployment.calibratedOn}`,
        ].join('\n'),
      );
    }),
  );
