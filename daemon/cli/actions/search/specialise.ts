import { writeFile } from 'node:fs/promises';
import { HildaError } from '../../../core/errors.js';
import type { CliContext } from '../../context.js';
import { readSpecWithData } from '../../data-paths.js';
import { describeSpecialisation } from '../../describe-specialisation.js';
import { followSpecialisation } from '../../follow-specialisation.js';
import { resolveId } from '../../resolve-id.js';
import { wholeNumber } from '../../whole-number.js';

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
export async function searchSpecialiseAction(
  context: CliContext,
  file: string | undefined,
  options: Options,
): Promise<void> {
  const { terminal } = context;
  const started = await start(context, file, options);
  terminal.note(`${started.id}: \`hilda search matrix ${started.id}\` shows it at any time`);
  const matrix = await followSpecialisation(started.id, context);
  if (options.out)
    await writeFile(
      options.out,
      `${JSON.stringify({ schema: 'hilda.specialisation.v1', ...matrix }, null, 2)}\n`,
    );
  context.answer('specialisation', matrix, () => describeSpecialisation(matrix, terminal));
  if (matrix.state !== 'completed')
    throw new HildaError('STATE_CONFLICT', `${matrix.id} is ${matrix.state}: ${matrix.reason ?? ''}`, {
      hint: `Go on with \`hilda search specialise --resume ${matrix.id}\`.`,
    });
}

async function start(context: CliContext, file: string | undefined, options: Options) {
  const { client } = context;
  const finalists = wholeNumber(options.finalists, 'finalists', 1, 20);
  if ((file === undefined) === (options.resume === undefined))
    throw new HildaError('USAGE_INVALID', 'name a specification, or --resume and an id');
  if (options.resume !== undefined)
    return client.resumeSpecialisation(await resolveId('specialisation', options.resume, context), context);
  const slack = Number(options.slack);
  if (!(slack >= 0 && slack < 1))
    throw new HildaError('USAGE_INVALID', `--slack: ${options.slack} is no share of 1`);
  const spec = (await readSpecWithData(file as string)) as Record<string, unknown>;
  const devices = options.devices ? split(options.devices) : ((spec.devices ?? []) as string[]);
  if (devices.length < 2 || new Set(devices).size !== devices.length)
    throw new HildaError('USAGE_INVALID', '--devices: name at least two different devices');
  const request = {
    spec: spec as never,
    devices,
    slack,
    finalists,
    ...(options.protocol && { protocol: options.protocol }),
    ...(options.searches && {
      searches: await Promise.all(split(options.searches).map((word) => resolveId('study', word, context))),
    }),
  };
  return client.specialise(request, context);
}

const split = (text: string): string[] => text.split(',').map((part) => part.trim());
