import { Command } from 'commander';
import { act, type Terminal } from '../context.js';
import { readValues } from '../read-values.js';

interface Options {
  readonly device: string;
  readonly input: string;
}

export const runCommand = (terminal: Terminal): Command =>
  new Command('run')
    .description('runs the network that a board holds, and gives its output')
    .requiredOption('-d, --device <id>', 'the board')
    .requiredOption('-i, --input <file>', 'the input: a JSON array or a float32 file, row-major')
    .action(
      act(terminal, async (context, { device, input }: Options) => {
        const outputs = await context.client.runDeployed({ device, input: await readValues(input) }, context);
        context.answer('outputs', { device, outputs }, () =>
          Object.entries(outputs)
            .map(([name, { data }]) => `${name}  ${data.map((value) => value.toPrecision(5)).join(' ')}`)
            .join('\n'),
        );
      }),
    );
