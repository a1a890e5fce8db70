import { fromProblem } from '../../api/problem.js';
import { HildaError } from '../../core/errors.js';
import { bindingsRequest } from '../bindings.js';
import type { CliContext } from '../context.js';
import { describeMeasurement } from '../describe.js';
import type { InputOptions } from '../input-options.js';
import { modelUpload } from '../model-files.js';
import { resolveId } from '../resolve-id.js';

interface Options extends InputOptions {
  readonly device: string;
  readonly protocol: string;
}

const pollMs = 200;

export async function measureAction(context: CliContext, file: string, options: Options): Promise<void> {
  const measurement = await measure(context, await modelUpload(file), options);
  context.answer('measurement', { measurement }, () => describeMeasurement(measurement, context.terminal));
  if (measurement.verdict !== 'valid') {
    throw new HildaError(
      'MEASUREMENT_INVALID',
      `the measurement is ${measurement.verdict}: ${measurement.reason}`,
    );
  }
}

async function measure(context: CliContext, bytes: Uint8Array, { device, protocol, ...inputs }: Options) {
  const on = await resolveId('device', device, context);
  const network = await context.client.uploadModel(bytes, context);
  const bindings = await bindingsRequest(inputs, network, context);
  context.terminal.note(`measuring ${network.nodes} operators on ${on}, protocol ${protocol}`);
  return measureModel(context, { model: network.sha256, device: on, protocol, ...bindings });
}

/** As a job of the daemon, looked at now and then: no request stays open for minutes. */
export async function measureModel(
  { client, terminal, signal }: CliContext,
  request: Parameters<CliContext['client']['startMeasurement']>[0],
) {
  const started = await client.startMeasurement(request, { signal });
  const job = await client.ended(started, { signal, clock: terminal.clock, everyMs: pollMs });
  if (!job.measurement) throw fromProblem(job.problem, job.problem?.status ?? 500);
  return job.measurement;
}
