import { Command } from 'commander';
import { act, type Terminal } from '../context.js';
import { formatBytes, formatLatency } from '../format.js';
import { readInput } from '../read-input.js';

export const profileCommand = (terminal: Terminal): Command =>
  new Command('profile')
    .description(
      'cost of a network by operator; from a profiled run, so the times do not add up to the latency',
    )
    .argument('<model>', 'an ONNX file')
    .requiredOption('-d, --device <id>', 'where to profile')
    .action(
      act(terminal, async (context, file: string, { device }: { readonly device: string }) => {
        const { client } = context;
        const { sha256 } = await client.uploadModel(await readInput(file), context);
        const operators = await client.profile({ model: sha256, device }, context);
        context.answerTable(
          'profile',
          { model: sha256, device, operators },
          [
            { title: 'OPERATOR', value: (o) => o.op },
            { title: 'MEDIAN', align: 'right', value: (o) => formatLatency(o.medianUs) },
            { title: 'OUTPUT', align: 'right', value: (o) => formatBytes(o.outputBytes) },
            { title: 'WEIGHTS', align: 'right', value: (o) => formatBytes(o.parameterBytes) },
            { title: 'LIVE', align: 'right', value: (o) => formatBytes(o.liveBytes) },
            { title: 'PROVIDER', value: (o) => o.provider },
            { title: 'NAME', value: (o) => o.name },
          ],
          operators,
          'The network has no operators.',
        );
      }),
    );
