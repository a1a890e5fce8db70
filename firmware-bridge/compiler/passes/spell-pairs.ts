import type { Graph, Node } from '../../../daemon/network/graph.js';
import { Speller } from './speller.js';
import { spellings } from './spellings.js';

/**
 * Operators on integers (QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger; onnxruntime's own in com.microsoft) as
 * the operator on real numbers between DequantizeLinear and QuantizeLinear, by which ONNX defines them. The same graph where
 * there are none. Throws OPERATOR_UNSUPPORTED for those whose scales depend on the data, and for layouts other than ONNX's.
 */
export function spellPairs(graph: Graph): Graph {
  const spellingOf = ({ op, domain }: Node) => spellings.get(domain)?.get(op);
  if (!graph.nodes.some(spellingOf)) return graph;
  const speller = new Speller(graph);
  for (const node of graph.nodes) {
    const spelling = spellingOf(node);
    if (spelling) spelling(node, speller);
    else speller.push(node);
  }
  return speller.graph;
}
