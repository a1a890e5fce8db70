import { HildaError } from '../../core/errors.js';
import type { BlobId, DeviceId } from '../../core/ids.js';
import type { Json } from '../../core/json.js';
import type { ModelRef } from '../../jobs/job.js';
import { formatSelector, parseSelector, type Selector } from '../../jobs/selector.js';
import { loadProtocol } from '../../measure/protocols.js';
import type { BenchmarkCaseRecord } from '../../store/benchmark-contract.js';
import type { BlobStore } from '../../store/contract.js';
import type { Suite } from './suite.js';

type Entry = Suite['networks'][number];
export type WinnerEntry = Extract<Entry, { readonly study: string }>;
export type SampleEntry = Extract<Entry, { readonly space: string }>;

/** Networks that the daemon makes itself, as ONNX files. */
export interface NetworkSources {
  winner(entry: WinnerEntry): Promise<Uint8Array>;
  samples(entry: SampleEntry): Promise<readonly Uint8Array[]>;
}

export interface ResolveParts {
  readonly blobs: BlobStore;
  readonly sources: NetworkSources;
  /** Throws DEVICE_UNKNOWN where a selector means none. */
  devicesOf(selector: Selector): Promise<readonly DeviceId[]>;
}

export type NewCase = Pick<BenchmarkCaseRecord, 'network' | 'place' | 'repetition' | 'asked'>;

interface Network {
  readonly name: string;
  readonly ref: ModelRef;
}

const mostCases = 100_000;

/**
 * What a suite is to measure, in the order of measuring. Networks of studies and spaces are stored as models, so that the run
 * does not change with them. Throws SPEC_INVALID, PROTOCOL_UNKNOWN, DEVICE_UNKNOWN, NOT_FOUND, and what the sources throw.
 */
export async function casesOf(suite: Suite, parts: ResolveParts): Promise<NewCase[]> {
  loadProtocol(suite.protocol);
  const places = await placesOf(suite, parts);
  const networks = await networksOf(suite, parts);
  const { repeats, alternate } = suite;
  if (alternate && networks.length !== 2)
    throw invalid(`alternate takes two networks in turn, and this suite has ${networks.length}`);
  if (networks.length * places.length * repeats > mostCases)
    throw invalid(
      `${networks.length} networks, ${places.length} devices and ${repeats} repeats are more than ${mostCases} measurements`,
    );
  return Array.from({ length: repeats }, (_, repetition) => {
    // A B B A: neither network is always the first to meet a change.
    const turn = alternate && repetition % 2 === 1 ? networks.toReversed() : networks;
    return turn.flatMap(({ name, ref }) =>
      places.map((place) => ({ network: name, place, repetition, asked: ref as unknown as Json })),
    );
  }).flat();
}

/** Each device that a selector means; a pool stands for one of its devices. */
async function placesOf({ devices }: Suite, { devicesOf }: ResolveParts): Promise<string[]> {
  const places = new Set<string>();
  for (const text of devices) {
    const selector = parseSelector(text);
    const meant = await devicesOf(selector);
    if ('pool' in selector) places.add(formatSelector(selector));
    else for (const id of meant) places.add(id);
  }
  return [...places];
}

async function networksOf({ networks }: Suite, parts: ResolveParts): Promise<Network[]> {
  const all: Network[] = [];
  for (const entry of networks) all.push(...(await networksOfEntry(entry, parts)));
  const names = new Set<string>();
  for (const { name } of all) {
    if (names.has(name))
      throw invalid(`two networks are called ${JSON.stringify(name)}`, 'Give each a `name` of its own.');
    names.add(name);
  }
  return all;
}

async function networksOfEntry(entry: Entry, { blobs, sources }: ResolveParts): Promise<Network[]> {
  if ('model' in entry) {
    const { model, name = model.slice(0, 12), dims, shapes, inputs } = entry;
    if (!(await blobs.has(model as BlobId)))
      throw new HildaError('NOT_FOUND', `there is no model ${model}`, {
        hint: 'Upload it first: POST /v1/models.',
      });
    return [
      {
        name,
        ref: { model, ...(dims && { dims }), ...(shapes && { shapes }), ...(inputs && { inputs }) },
      },
    ];
  }
  if ('study' in entry) {
    const {
      study,
      trial,
      name = trial === undefined ? `winner of ${study}` : `${study} trial ${trial}`,
    } = entry;
    return [{ name, ref: { model: await blobs.put(await sources.winner(entry)) } }];
  }
  const { space, seed } = entry;
  const networks = await sources.samples(entry);
  return Promise.all(
    networks.map(async (onnx, i) => ({
      name: `${space} ${seed}.${i}`,
      ref: { model: await blobs.put(onnx) },
    })),
  );
}

const invalid = (message: string, hint?: string): HildaError =>
  new HildaError('SPEC_INVALID', message, hint === undefined ? {} : { hint });
