import type { Graph } from '../../../daemon/network/graph.js';
import type { Calibration } from '../quantise/calibration.js';
import type { Quantisation, Range } from '../quantise/quantisation.js';
import { channelsRead, type Equalised } from './equalise.js';
import { leadingTo, type Rounding, roundedNetwork } from './rounded-network.js';
import { inSinglePrecision } from './single-precision.js';

type Ranges = ReadonlyMap<string, Range>;

/**
 * The ranges with the means that channels have once all values are rounded: the network is calibrated again with its values
 * rounded to the steps that were chosen (Nagel et al., ICCV 2019, appendix D). Undefined where no layer needs them, or no
 * channels were calibrated.
 */
export async function roundedMeans(
  network: Graph,
  { prepared, ranges, factorsOf }: { readonly ranges: Ranges | undefined } & Omit<Equalised, 'ranges'>,
  held: ReadonlyMap<string, Quantisation>,
  isFixed: (value: string) => boolean,
  calibration: Calibration,
): Promise<Ranges | undefined> {
  const read = [...channelsRead(prepared, isFixed)].filter(
    ([value, axis]) => ranges?.get(value)?.channels?.axis === axis,
  );
  if (!ranges || read.length === 0) return undefined;
  const roundings = new Map<string, Rounding>();
  for (const [value, quantisation] of held) {
    const shape = prepared.shapes.get(value);
    if (shape?.dtype !== 'float32') continue;
    const along = factorsOf(value);
    roundings.set(value, { quantisation, ...(along && { along: { ...along, rank: shape.dims.length } }) });
  }
  const copy = roundedNetwork(inSinglePrecision(network), roundings);
  const wanted = read.flatMap(([value, axis]): [string, string, number][] => {
    const name = copy?.rounded.get(value);
    return name === undefined ? [] : [[value, name, axis]];
  });
  if (!copy || wanted.length === 0) return undefined;
  const channels = new Map(wanted.map(([, name, axis]) => [name, axis]));
  const seen = await calibration(leadingTo(copy.graph, channels.keys()), [], channels);
  const corrected = new Map(ranges);
  for (const [value, name] of wanted) {
    const mean = seen.get(name)?.channels?.mean;
    const range = ranges.get(value);
    if (!range?.channels || !mean?.every(Number.isFinite)) continue;
    const factors = factorsOf(value)?.factors;
    const rounded = mean.map((x, c) => x / (factors?.[c] ?? 1));
    corrected.set(value, { ...range, channels: { ...range.channels, rounded } });
  }
  return corrected;
}
