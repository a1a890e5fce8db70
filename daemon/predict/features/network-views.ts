import { canonicalText } from '../../network/canonical-text.js';
import { costFeatures } from '../../network/cost.js';
import type { Graph } from '../../network/graph.js';
import type { Views } from '../contract.js';
import { byOperatorType } from './by-type.js';
import { textNgrams } from './text-ngrams.js';

/**
 * What any network of any space shows: the roofline's totals; the same by operator type; and with n-grams of its
 * text. Throws what shape inference throws.
 */
export function networkViews(network: Graph): Views {
  const types = byOperatorType(costFeatures(network));
  const totals = new Map(
    ['macs', 'bytesMoved', 'operators'].map((name) => [name, types.get(name) ?? 0] as const),
  );
  return {
    totals,
    types,
    text: new Map([...totals, ...textNgrams(canonicalText(network))]),
  };
}
