import type { OperatorCostView } from '../../api/measurement-schemas.js';
import { formatBytes, formatLatency } from '../../core/quantities.js';
import { bindingsRequest } from '../bindings.js';
import type { CliContext } from '../context.js';
import type { InputOptions } from '../input-options.js';
import { modelUpload } from '../model-files.js';
import { resolveId } from '../resolve-id.js';

interface Options extends InputOptions {
  readonly device: string;
}

/** Cycles of an emulated core are a model's: said where they are shown. */
function costTitle(first: OperatorCostView | undefined): string {
  if (!first?.count || first.medianUs !== null) return 'MEDIAN';
  const { unit, provenance } = first.count;
  return unit === 'cycles' && provenance === 'emulated' ? 'CYCLES (MODELLED)' : unit.toUpperCase();
}

const formatCost = ({ medianUs, count }: OperatorCostView): string =>
  medianUs === null ? String(count?.value ?? '-') : formatLatency(medianUs);

export async function profileAction(
  context: CliContext,
  file: string,
  { device: word, ...inputs }: Options,
): Promise<void> {
  const { client } = context;
  const device = await resolveId('device', word, context);
  const network = await client.uploadModel(await modelUpload(file), context);
  const { sha256 } = network;
  const bindings = await bindingsRequest(inputs, network, context);
  const operators = await client.profile({ model: sha256, device, ...bindings }, context);
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
}
