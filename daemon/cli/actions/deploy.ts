import { HildaError } from '../../core/errors.js';
import { formatBytes } from '../../core/quantities.js';
import { bindNetwork, constantInputs } from '../../devices/bind-network.js';
import { readModel } from '../../reading/read-model.js';
import { bindingsRequest, givenBindings } from '../bindings.js';
import { calibratingFrom, uploadCalibrating } from '../calibration-files.js';
import { type CalibrationOptions, randomNote } from '../calibration-options.js';
import type { CliContext } from '../context.js';
import type { InputOptions } from '../input-options.js';
import { modelUpload } from '../model-files.js';
import { resolveId } from '../resolve-id.js';

interface Options extends InputOptions, CalibrationOptions {
  readonly device: string;
  readonly study?: string;
  readonly trial?: number;
}

export async function deployAction(
  context: CliContext,
  file: string | undefined,
  options: Options,
): Promise<void> {
  const { terminal } = context;
  const { client } = context;
  const device = await resolveId('device', options.device, context);
  const { bytes, ranges } = await networkGiven(file, options, context);
  const uploaded = await client.uploadModel(bytes, context);
  const network = await readModel(bytes);
  const bound = constantInputs(await bindNetwork(network, await givenBindings(options, network)));
  const calibrating = ranges ? { ranges } : await calibratingFrom(options, bound.inputs);
  if (!calibrating.calibration && !calibrating.ranges) terminal.note(randomNote);
  const bindings = await bindingsRequest(options, uploaded, context);
  const scales = await uploadCalibrating(calibrating, bound.inputs, context);
  const deployment = await client.deploy({ model: uploaded.sha256, device, ...bindings, ...scales }, context);
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
}

/** A model's file, or a trial's network with the ranges that it was scored with. */
async function networkGiven(
  file: string | undefined,
  { study, trial, calibration, ranges: given }: Options,
  context: CliContext,
) {
  const { client, signal } = context;
  if ((file === undefined) === (study === undefined) || (study === undefined) !== (trial === undefined))
    throw new HildaError('USAGE_INVALID', 'a model is deployed, or a trial of a study: --study S --trial N');
  if (study === undefined || trial === undefined)
    return { bytes: await modelUpload(file as string), ranges: null };
  const id = await resolveId('study', study, context);
  const { model, ranges } = await client.exportTrial(id, trial, { signal });
  const own = calibration.length > 0 || given !== undefined;
  return { bytes: await client.modelBytes(model, { signal }), ranges: own ? null : ranges };
}
