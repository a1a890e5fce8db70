import { floatTensor, type Graph } from '../network/graph.js';
import { GraphBuilder } from '../network/graph-builder.js';
import type { WeightSource } from '../search/spaces/contract.js';
import { type Choice, listLayers, type MbconvFile } from '../search/spaces/mbconv/file.js';
import { emitHead, emitLayer, emitStem } from '../search/spaces/mbconv/network.js';

export const gateName = (layer: number, choice: number): string => `gate.${layer}.${choice}`;

/**
 * A network whose searched layers run several of their choices side by side, each times a gate [1, 1, 1, 1], and add
 * them up (Cai, Zhu and Han 2019, equation 3). Gates are constants like weights: what trains weights gives the gradient
 * of the gates as well. `paths`: the choices of every layer, by index.
 */
export function gatedNetwork(
  file: MbconvFile,
  paths: readonly (readonly number[])[],
  weights: WeightSource,
): Graph {
  const b = new GraphBuilder({ name: `${file.id}.paths` });
  const layers = listLayers(file);
  let x = emitStem(b, b.input('input', 'float32', [1, ...file.input]), file, weights);
  layers.forEach((layer, l) => {
    const outputs = (paths[l] as readonly number[]).map((choice) => {
      // Paths of one layer share its tensors (kernel crops, leading channels), so each needs names of its own here.
      const named = renamed(weights, layer.name, `${layer.name}.path${choice}`);
      const own = { ...layer, name: `${layer.name}.path${choice}` };
      const y = emitLayer(b, x, own, layer.choices[choice] as Choice | 'skip', named);
      const gate = gateName(l, choice);
      return b.mul(y, b.constant(gate, floatTensor([1, 1, 1, 1], weights.tensor(gate, [1, 1, 1, 1]))));
    });
    x = outputs.slice(1).reduce((sum, y) => b.add(sum, y), outputs[0] as string);
  });
  b.output(emitHead(b, x, file, weights), 'logits');
  return b.build();
}

/** Tensors of a path, looked up under the shared layer's name. */
const renamed = (weights: WeightSource, from: string, to: string): WeightSource => ({
  tensor: (name, dims) =>
    weights.tensor(name.startsWith(to) ? `${from}${name.slice(to.length)}` : name, dims),
});
