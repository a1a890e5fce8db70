import { Command } from 'commander';
import { formatBytes } from '../../core/quantities.js';
import { act, type Terminal } from '../context.js';
import { readInput } from '../read-input.js';
import { readValues } from '../read-values.js';

interface Options {
  readonly device: string;
  readonly calibration: readonly string[];
}

export const deployCommand = (terminal: Terminal): Command =>
  new Command('deploy')
    .description("puts a network with its weights into a board's flash, where it survives a reset")
    .argument('<model>', 'an ONNX file')
    .requiredOption('-d, --device <id>', 'the board')
    .option(
      '-c, --calibration <file...>',
      'inputs that the network will see, for its 8-bit scales: JSON arrays or float32 files',
      [],
    )
    .action(
      act(terminal, async (context, file: string, { device, calibration }: Options) => {
        const { client } = context;
        const { sha256 } = await client.uploadModel(await readInput(file), context);
        const inputs = await Promise.all(calibration.map(readValues));
        if (inputs.length === 0) terminal.note('no --calibration: the 8-bit scales come from random inputs');
        const deployment = await client.deploy({ model: sha256, device, calibration: inputs }, context);
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
