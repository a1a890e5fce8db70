import { extname } from 'node:path';
import { zipSync } from 'fflate';
import { openStored } from '../../data/open-arrays.js';
import { npyBytes } from '../../data/write-npy.js';
import { elementCount } from '../../network/graph.js';
import type { CliContext } from '../context.js';
import { readInput } from '../read-input.js';
import { readValues } from '../read-values.js';
import { resolveId } from '../resolve-id.js';

interface Options {
  readonly device: string;
  readonly input: readonly string[];
}

export async function runAction(context: CliContext, { device: word, input }: Options): Promise<void> {
  const device = await resolveId('device', word, context);
  const { sha256: blob } = await context.client.uploadBlob(await example(input), context);
  const outputs = await context.client.runDeployed({ device, input: { blob } }, context);
  context.answer('outputs', { device, outputs }, () =>
    Object.entries(outputs)
      .map(([name, { data }]) => `${name}  ${data.map((value) => value.toPrecision(5)).join(' ')}`)
      .join('\n'),
  );
}

/** As the daemon takes an example: a .npz or .npy, or float32 elements of all inputs, one behind the other. */
async function example(inputs: readonly string[]): Promise<Uint8Array> {
  const [first = ''] = inputs;
  const named = inputs.map((input) => /^([^=/\\]+)=(.+)$/.exec(input));
  if (inputs.length === 1 && !named[0])
    return ['.npy', '.npz'].includes(extname(first).toLowerCase())
      ? readInput(first)
      : new Uint8Array(Float32Array.from(await readValues(first)).buffer);
  const files: [string, Uint8Array][] = [];
  for (const [i, match] of named.entries()) {
    const [, name = '', path = ''] = match ?? ['', '', inputs[i]];
    const array = await openStored(path);
    try {
      const elements = await array.elements(0, elementCount(array.dims));
      files.push([`${name}.npy`, npyBytes(elements, array.dtype, array.dims)]);
    } finally {
      await array.close();
    }
  }
  return zipSync(Object.fromEntries(files), { level: 0 });
}
