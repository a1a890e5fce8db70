import { basename, dirname, extname, resolve } from 'node:path';
import type { z } from 'zod';
import { parseSuite, type SuiteFile, suiteFileSchema, type suiteSchema } from '../benchmarks/suites/suite.js';
import { HildaError } from '../core/errors.js';
import type { CliContext } from './context.js';
import { expandFiles } from './expand-files.js';
import { modelUpload } from './model-files.js';
import { readSpec } from './read-input.js';
import { resolveId } from './resolve-id.js';

type Request = z.input<typeof suiteSchema>;
type Entry = SuiteFile['networks'][number];

/**
 * Reads a suite, uploads the models that it names by files, and finds the devices that it names by the beginnings of their ids. What
 * was read is what runs: a file that changes later changes nothing. Throws NOT_FOUND, SPEC_INVALID, and what uploading throws.
 */
export async function readSuite(path: string, context: CliContext): Promise<Request> {
  const { networks, devices, ...rest } = parseSuite(suiteFileSchema, await readSpec(path), path);
  const given: Request['networks'] = [];
  const upload = async (bytes: Uint8Array): Promise<string> =>
    (await context.client.uploadModel(bytes, context)).sha256;
  for (const entry of networks) given.push(...(await uploaded(entry, dirname(resolve(path)), upload)));
  const named: string[] = [];
  for (const device of devices) named.push(await resolveId('device', device, context));
  return { ...rest, devices: named, networks: given } as Request;
}

/** An entry of a suite whose files of a folder are uploaded: `upload` answers with their SHA-256. */
export async function uploaded(
  entry: Entry,
  folder: string,
  upload: (model: Uint8Array) => Promise<string>,
): Promise<Request['networks']> {
  if (!('files' in entry)) return [entry as Request['networks'][number]];
  const { files, name, ...bindings } = entry;
  const paths = new Set<string>();
  for (const pattern of [files].flat())
    for (const path of await expandFiles(pattern, folder)) paths.add(path);
  if (name !== undefined && paths.size > 1)
    throw new HildaError('SPEC_INVALID', `${paths.size} files cannot all be called ${name}`, {
      hint: 'Leave `name` out: each is called as its file is.',
    });
  const networks: Request['networks'] = [];
  for (const path of paths) {
    const sha256 = await upload(await modelUpload(path));
    networks.push({ model: sha256, name: name ?? basename(path, extname(path)), ...bindings } as never);
  }
  return networks;
}
