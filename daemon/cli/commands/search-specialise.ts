import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { HildaError } from '../../core/errors.js';
import { act, type CliContext, type Terminal } from '../context.js';
import { readSpecWithData } from '../data-paths.js';
import { describeSpecialisation, followSpecialisation } from '../specialisation.js';
import { wholeNumber } from './predictor.js';

interface Options {
  readonly devices?: string;
  readonly slack: string;
  readonly finalists: string;
  readonly protocol?: string;
  readonly searches?: string;
  readonly resume?: string;
  readonly out?: string;
}

/** See `Specialisations`: the daemon does it, this command starts it and shows how far it is. */
export const searchSpecialiseCommand = (terminal: Terminal): Command =>
  new Command('specialise')
    .description('one search a device, then the best of all searches measured on every device')
    .argument('[spec]', 'a study specification; a metric such as cycles@DEVICE is for that device alone')
    .option('-d, --devices <ids>', "two or more, separated by commas; default the specification's")
    .option('-s, --slack <share>', 'accuracy given up for speed, as a share of 1', '0.01')
    .option('--finalists <count>', 'front members of each search that are measured on every device', '5')
    .option('-p, --protocol <name>', 'how the finalists are measured; default as in the searches')
    .option('--searches <studies>', 'studies of one of the devices each, taken in place of new searches')
    .option('--resume <id>', 'go on with one that was paused or failed, in place of a specification')
    .option('-o, --out <file>', 'where the matrix is written as JSON')
    .action(
      act(terminal, async (context, file: string | undefined, options: Options) => {
        const started = await start(context, file, options);
        terminal.note(`${started.id}: \`hilda search matrix ${started.id}\` shows it at any time`);
        const matrix = await followSpecialisation(started.id, context);
        if (options.out)
          await writeFile(
            options.out,
            `${JSON.stringify({ schema: 'hilda.specialisation.v1', ...matrix }, null, 2)}\n`,
          );
        context.answer('specialisation', matrix, () => describeSpecialisation(matrix));
        if (matrix.state !== 'completed')
          throw new HildaError('STATE_CONFLICT', `${matrix.id} is ${matrix.state}: ${matrix.reason ?? ''}`, {
            hint: `Go on with \`hilda search specialise --resume ${matrix.id}\`.`,
          });
      }),
    );

async function start(context: CliContext, file: string | undefined, options: Options) {
  const { client } = context;
  const finalists = wholeNumber(options.finalists, 'finalists', 1, 20);
  if ((file === undefined) === (options.resume === undefined))
    throw new HildaError('USAGE_INVALID', 'name a specification, or --resume and an id');
  if (file === undefined) return client.resumeSpecialisation(options.resume as string, context);
  const slack = Number(options.slack);
  if (!(slack >= 0 && slack < 1))
    throw new HildaError('USAGE_INVALID', `--slack: ${options.slack} is no share of 1`);
  const spec = (await readSpecWithData(file)) as Record<string, unknown>;
  const devices = options.devices ? split(options.devices) : ((spec.devices ?? []) as string[]);
  if (devices.length < 2 || new Set(devices).size !== devices.length)
    throw new HildaError('USAGE_INVALID', '--devices: name at least two different devices');
  const request = {
    spec: spec as never,
    devices,
    slack,
    finalists,
    ...(options.protocol && { protocol: options.protocol }),
    ...(options.searches && { searches: split(options.searches) }),
  };
  return client.specialise(request, context);
}

const split = (text: string): string[] => text.split(',').map((part) => part.trim());
