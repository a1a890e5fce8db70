import { Command } from 'commander';
import type { OperatorCostView } from '../../api/measurement-schemas.js';
import { formatBytes, formatLatency } from '../../core/quantities.js';
import { act, type Terminal } from '../context.js';
import { readInput } from '../read-input.js';

/** Cycles of an emulated core are a model's: said where they are shown. */
function costTitle(first: OperatorCostView | undefined): string {
  if (!first?.count || first.medianUs !== null) return 'MEDIAN';
  const { unit, provenance } = first.count;
  return unit === 'cycles' && provenance === 'emulated' ? 'CYCLES (MODELLED)' : unit.toUpperCase();
}

const formatCost = ({ medianUs, count }: OperatorCostView): string =>
  medianUs === null ? String(count?.value ?? '-') : formatLatency(medianUs);

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
            { title: costTitle(operators[0]), align: 'right', value: formatCost },
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
