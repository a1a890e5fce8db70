import { floatTensor } from '../../../daemon/network/graph.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

/**
 * Layer normalisation spelt out (before opset 17): d = x - mean(x); d / sqrt(mean(d^2) + e), then scale and shift. The
 * node that results is ONNX's own LayerNormalization over the last axis.
 */
export function recogniseLayerNorm(graph: EditableGraph, shapes: Shapes): void {
  for (const old of graph.nodes) {
    const div = graph.producer(old.outputs[0]);
    if (div?.op !== 'Div') continue;
    const centred = div.inputs[0] as string;
    const sub = graph.producer(centred);
    const root = graph.producer(div.inputs[1]);
    const sum = root?.op === 'Sqrt' ? graph.producer(root.inputs[0]) : undefined;
    const mean = graph.producer(sub?.inputs[1]);
    if (sub?.op !== 'Sub' || sum?.op !== 'Add' || mean?.op !== 'ReduceMean') continue;
    const x = sub.inputs[0] as string;
    const epsilon = graph.scalar(sum.inputs[1]) ?? graph.scalar(sum.inputs[0]);
    const variance = sum.inputs.map((name) => graph.producer(name)).find((n) => n?.op === 'ReduceMean');
    const square = graph.producer(variance?.inputs[0]);
    const squares =
      square?.op === 'Pow'
        ? graph.scalar(square.inputs[1]) === 2
        : square?.op === 'Mul' && square.inputs[1] === centred;
    const width = shapes.get(x)?.dims.at(-1);
    const reduced = shapes.get(mean.outputs[0] as string)?.dims;
    if (epsilon === undefined || mean.inputs[0] !== x || square?.inputs[0] !== centred || !squares || !width)
      continue;
    if (reduced?.at(-1) !== 1) continue;

    // Scale and shift follow where the exporter wrote them.
    const behind = (
      value: string,
      op: string,
    ):
      | { readonly node: ReturnType<EditableGraph['producer']>; readonly values: Float32Array }
      | undefined => {
      const next = graph.onlyConsumer(value);
      const constant =
        next?.op === op ? next.inputs.find((name) => graph.floats(name)?.length === width) : undefined;
      return next && constant ? { node: next, values: graph.floats(constant) as Float32Array } : undefined;
    };
    const value = div.outputs[0] as string;
    const scale = behind(value, 'Mul');
    const shift = behind(scale?.node?.outputs[0] ?? value, 'Add');
    const last = shift?.node ?? scale?.node ?? div;
    const name = last.outputs[0] as string;
    const constants = [
      graph.setConstant(
        `${name}.scale`,
        floatTensor([width], scale?.values ?? new Float32Array(width).fill(1)),
      ),
      graph.setConstant(`${name}.shift`, floatTensor([width], shift?.values ?? new Float32Array(width))),
    ];
    const node = fusedNode(last, 'LayerNormalization', [x, ...constants], { axis: -1, epsilon });
    graph.replace(last, { ...node, domain: '' });
  }
}
