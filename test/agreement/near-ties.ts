import onnxProto from 'onnx-proto';
import { type Given, numbers, runOnce } from './onnxruntime.js';

const { onnx } = onnxProto;
type NodeProto = onnxProto.onnx.INodeProto;

/** The two integers beside the middle that an output's real value lies on, by the element's place. */
export type NearTies = ReadonlyMap<number, readonly [number, number]>;

/** Stands in names that this file makes up: no model has it. */
const apart = '\u0003';
/** Sums of products below it are exact in float32, in any order. */
const exactBelow = 2 ** 24;
/** Roundings to float32 of a sum's scaling: the product of two scales, its quotient by the third, and the sum by that. */
const relativeError = (1 + 2 ** -24) ** 3 - 1;

const product: Readonly<Record<string, string>> = { QLinearConv: 'Conv', QLinearMatMul: 'MatMul' };
/** The order of both operators' first inputs is the same: x, its scale and zero point, w, its own, those of y, and the bias. */
const parts = { x: 0, xScale: 1, xZero: 2, w: 3, wScale: 4, wZero: 5, yScale: 6, yZero: 7, bias: 8 } as const;
type Part = keyof typeof parts;

/**
 * Outputs of QLinearConv and QLinearMatMul whose real value lies in the middle between two integers, or so near that
 * float32 cannot tell: https://onnx.ai/onnx/operators/onnx__QLinearConv.html fixes no precision, and onnxruntime scales sums in
 * float32. Sums of products are exact integers here, and scaled in double precision. By the output's name.
 */
export async function nearTies(
  model: Uint8Array,
  feeds: Readonly<Record<string, Given>>,
): Promise<ReadonlyMap<string, NearTies>> {
  const found = new Map<string, NearTies>();
  const proto = onnx.ModelProto.decode(model);
  const graph = proto.graph as onnxProto.onnx.GraphProto;
  const outputs = new Set((graph.output ?? []).map(({ name }) => name ?? ''));
  const scaled = (graph.node ?? []).filter(
    ({ opType, output }) => product[opType ?? ''] && outputs.has(output?.[0] ?? ''),
  );
  if (scaled.length === 0) return found;
  const added = scaled.flatMap(sumOf);
  graph.node = [...(graph.node ?? []), ...added] as typeof graph.node;
  graph.output = added
    .flatMap(({ output }) => output ?? [])
    .map((name) => new onnx.ValueInfoProto({ name })) as typeof graph.output;
  const values = await runOnce(onnx.ModelProto.encode(proto).finish(), feeds);
  for (const { output } of scaled) {
    const name = output?.[0] ?? '';
    const of = (part: string): Given | undefined => values[partOf(name, part)];
    const ties = tiesOf(of);
    if (ties) found.set(name, ties);
  }
  return found;
}

const partOf = (name: string, part: string): string => `${name}${apart}${part}`;

/** Nodes that give a node's inputs as floats and its sum of products of centred integers. */
function sumOf(one: NodeProto): NodeProto[] {
  const [name, input] = [one.output?.[0] ?? '', one.input ?? []];
  const as = (part: string): string => partOf(name, part);
  const float = (part: Part): NodeProto => ({
    opType: 'Cast',
    input: [input[parts[part]] ?? ''],
    output: [as(part)],
    attribute: [{ name: 'to', type: 2, i: 1 }],
  });
  const given = (Object.keys(parts) as Part[]).filter((part) => input[parts[part]]);
  const node = (opType: string, inputs: readonly string[], output: string): NodeProto => ({
    opType,
    input: inputs.map(as),
    output: [as(output)],
  });
  const centred = [node('Sub', ['x', 'xZero'], 'xCentred'), node('Sub', ['w', 'wZero'], 'wCentred')];
  const multiplied = node(product[one.opType ?? ''] as string, ['xCentred', 'wCentred'], 'products');
  return [...given.map(float), ...centred, { ...multiplied, attribute: one.attribute ?? [] }];
}

/** Undefined where the sums could be inexact, or scales differ by channel. */
function tiesOf(of: (part: string) => Given | undefined): NearTies | undefined {
  const [products, x, w] = [of('products'), of('xCentred'), of('wCentred')];
  const [xScale, wScale, yScale, yZero] = (['xScale', 'wScale', 'yScale', 'yZero'] as const).map((part) => {
    const value = of(part);
    return value?.data.length === 1 ? numbers(value)[0] : undefined;
  });
  if (!products || !x || !w || xScale === undefined || wScale === undefined || yScale === undefined)
    return undefined;
  const peak = (value: Given): number => numbers(value).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  // No output adds more products than there are weights.
  if (peak(x) * peak(w) * w.data.length >= exactBelow) return undefined;
  const [sums, bias] = [numbers(products), of('bias')];
  const channels = products.dims[1] ?? 1;
  const inner = sums.length / ((products.dims[0] ?? 1) * channels);
  const shifts = bias && numbers(bias);
  const ties = new Map<number, readonly [number, number]>();
  for (const [i, sum] of sums.entries()) {
    const whole = sum + (shifts ? (shifts[Math.floor(i / inner) % channels] as number) : 0);
    const real = (whole * xScale * wScale) / yScale;
    const down = Math.floor(real);
    if (Math.abs(real - down - 0.5) > relativeError * Math.abs(real)) continue;
    const zero = yZero ?? 0;
    ties.set(i, [down + zero, down + 1 + zero]);
  }
  return ties;
}
