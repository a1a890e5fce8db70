import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { structureHash, weightsHash } from '../network/canonical-text.js';
import type { Graph } from '../network/graph.js';
import type { ValueRange } from '../runtime/value-ranges.js';

const perChannel = z.array(z.number()).max(65_536);

/**
 * Ranges of a network's values, kept to quantise it again just as it was quantised: one set for each form that compilers for
 * different cores make of the network. Values go by name.
 */
export const networkRangesSchema = z.strictObject({
  schema: z.literal('hilda.ranges.v1'),
  /** What they were taken over, e.g. `Fashion-MNIST calibration, 512 images`. */
  source: z.string().max(500),
  sets: z
    .array(
      z.strictObject({
        /** SHA-256 of the prepared graph's structure, and of its weights. */
        structureHash: z.string(),
        weightsHash: z.string(),
        ranges: z.array(z.tuple([z.string(), z.number(), z.number()])).max(100_000),
        /** Of each channel along an axis, where the compiler asked for them: least, most and mean. */
        channels: z
          .array(z.tuple([z.string(), z.number().int().min(0), perChannel, perChannel, perChannel]))
          .max(100_000)
          .optional(),
        /** Counts of a sample in equal parts of the range, where the compiler asked for them. */
        histograms: z
          .array(z.tuple([z.string(), z.array(z.number().int().min(0)).max(4096)]))
          .max(100_000)
          .optional(),
      }),
    )
    .max(64),
});

export type NetworkRanges = z.infer<typeof networkRangesSchema>;

type Ranges = ReadonlyMap<string, ValueRange>;
type AskRanges = (
  graph: Graph,
  values: readonly string[],
  channels?: ReadonlyMap<string, number>,
) => Promise<Ranges>;

/** Throws REQUEST_INVALID for what is no file of ranges. */
export function parseRanges(bytes: Uint8Array): NetworkRanges {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new HildaError('REQUEST_INVALID', 'the ranges are no JSON', { cause });
  }
  const parsed = networkRangesSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'file'}: ${message}`);
  throw new HildaError('REQUEST_INVALID', `the ranges are not valid: ${fields.slice(0, 5).join('; ')}`, {
    hint: '`hilda search export` writes them beside the network, as NAME.ranges.json.',
  });
}

/** Answers a compiler from kept ranges. Throws QUANTISATION_FAILED where they are of another network. */
export const storedRanges =
  ({ sets }: NetworkRanges): AskRanges =>
  async (graph) => {
    const [structure, weights] = [structureHash(graph), weightsHash(graph)];
    const set = sets.find((one) => one.structureHash === structure && one.weightsHash === weights);
    if (set) return rangesOf(set);
    throw new HildaError(
      'QUANTISATION_FAILED',
      'the ranges given were taken of another network, or by another version of the compiler',
      { hint: 'Give the ranges that were exported with this very network, or calibration inputs.' },
    );
  };

function rangesOf({ ranges, channels = [], histograms = [] }: NetworkRanges['sets'][number]): Ranges {
  const counts = new Map(histograms);
  const along = new Map(channels.map(([name, axis, min, max, mean]) => [name, { axis, min, max, mean }]));
  return new Map(
    ranges.map(([name, min, max]) => {
      const ends = along.get(name);
      const histogram = counts.get(name);
      return [name, { min, max, ...(ends && { channels: ends }), ...(histogram && { histogram }) }];
    }),
  );
}

/** Hands a compiler's questions on, and keeps each answer as a set. */
export function recordRanges(ask: AskRanges): {
  readonly ask: AskRanges;
  readonly sets: NetworkRanges['sets'];
} {
  const sets: NetworkRanges['sets'] = [];
  return {
    sets,
    ask: async (graph, values, wanted) => {
      const [structure, weights] = [structureHash(graph), weightsHash(graph)];
      const known = sets.find((set) => set.structureHash === structure && set.weightsHash === weights);
      if (known) return rangesOf(known);
      const answer = await ask(graph, values, wanted);
      const ranges = [...answer].map(([name, { min, max }]): [string, number, number] => [name, min, max]);
      const channels = [...answer].flatMap(
        ([name, { channels: ends }]): [string, number, number[], number[], number[]][] =>
          ends ? [[name, ends.axis, [...ends.min], [...ends.max], [...ends.mean]]] : [],
      );
      const histograms = [...answer].flatMap(([name, { histogram }]): [string, number[]][] =>
        histogram ? [[name, [...histogram]]] : [],
      );
      sets.push({
        structureHash: structure,
        weightsHash: weights,
        ranges,
        ...(channels.length > 0 && { channels }),
        ...(histograms.length > 0 && { histograms }),
      });
      return answer;
    },
  };
}
