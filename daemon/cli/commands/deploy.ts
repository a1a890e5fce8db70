import { Command } from 'commander';
import { HildaError } from '../../core/errors.js';
import { formatBytes } from '../../core/quantities.js';
import { bindNetwork, constantInputs } from '../../devices/bind-network.js';
import { readModel } from '../../devices/read-model.js';
import { bindingsRequest, givenBindings } from '../bindings.js';
import {
  type CalibrationOptions,
  calibratingFrom,
  randomNote,
  uploadCalibrating,
  withCalibrationOptions,
} from '../calibration-files.js';
import { act, type CliContext, type Terminal } from '../context.js';
import { type InputOptions, withInputOptions } from '../input-options.js';
import { modelUpload } from '../model-files.js';
import { trialNumber } from './search-export.js';

interface Options extends InputOptions, CalibrationOptions {
  readonly device: string;
  readonly study?: string;
  readonly trial?: number;
}

export const deployCommand = (terminal: Terminal): Command =>
  withInputOptions(
    withCalibrationOptions(
      new Command('deploy')
        .description("puts a network with its weights into a board's flash, where it survives a reset")
        .argument(
          '[model]',
          'a TensorFlow Lite file; or an ONNX file with the files beside it that it names, or a .zip of them',
        )
        .requiredOption('-d, --device <id>', 'the board')
        .option('--study <id>', 'in place of a model: a study, with the ranges that it scored with')
        .option('--trial <number>', 'which trial of it', trialNumber),
    ),
  ).action(
    act(terminal, async (context, file: string | undefined, options: Options) => {
      const { client } = context;
      const { device } = options;
      const { bytes, ranges } = await networkGiven(file, options, context);
      const uploaded = await client.uploadModel(bytes, context);
      const network = await readModel(bytes);
      const bound = constantInputs(await bindNetwork(network, await givenBindings(options, network)));
      const calibrating = ranges ? { ranges } : await calibratingFrom(options, bound.inputs);
      if (!calibrating.calibration && !calibrating.ranges) terminal.note(randomNote);
      const bindings = await bindingsRequest(options, uploaded, context);
      const scales = await uploadCalibrating(calibrating, bound.inputs, context);
      const deployment = await client.deploy(
        { model: uploaded.sha256, device, ...bindings, ...scales },
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

/** A model's file, or a trial's network with the ranges that it was scored with. */
async function networkGiven(
  file: string | undefined,
  { study, trial, calibration, ranges: given }: Options,
  { client, signal }: CliContext,
) {
  if ((file === undefined) === (study === undefined) || (study === undefined) !== (trial === undefined))
    throw new HildaError('USAGE_INVALID', 'a model is deployed, or a trial of a study: --study S --trial N');
  if (study === undefined || trial === undefined)
    return { bytes: await modelUpload(file as string), ranges: null };
  const { model, ranges } = await client.exportTrial(study, trial, { signal });
  const own = calibration.length > 0 || given !== undefined;
  return { bytes: await client.modelBytes(model, { signal }), ranges: own ? null : ranges };
}
