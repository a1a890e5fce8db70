import { elementCount } from '../../../daemon/network/graph.js';
import type { Given } from '../../agreement/onnxruntime.js';
import type { RandomModel } from '../random-graphs.js';
import { encodeModel, type ModelDraft } from './model.js';

/** The part of a model that one of its values needs, from the values in `cut` on, which become inputs. */
function part(model: RandomModel, output: string, cut: ReadonlySet<string>): RandomModel | undefined {
  const needed = new Set([output]);
  const nodes = model.nodes
    .toReversed()
    .filter(({ inputs, outputs }) => {
      if (!outputs.some((name) => needed.has(name) && !cut.has(name))) return false;
      for (const name of inputs) needed.add(name);
      return true;
    })
    .toReversed();
  if (nodes.length === 0) return undefined;
  const inputs = new Map<string, Given>();
  for (const name of needed) {
    const given = model.values.get(name);
    if (given && (cut.has(name) || model.inputs.has(name))) inputs.set(name, given);
  }
  const draft: ModelDraft = { ...model, inputs, nodes, outputs: [output] };
  return { ...draft, values: model.values, bytes: encodeModel(draft) };
}

/** Each node that makes a float value from float values, as a model of its own. */
export function singleNodes(model: RandomModel): RandomModel[] {
  const all = new Set(model.values.keys());
  return model.nodes.flatMap(({ outputs }) => {
    const output = outputs.find((name) => model.values.has(name));
    if (output === undefined) return [];
    const cut = new Set([...all].filter((name) => name !== output));
    const one = part(model, output, cut);
    return one && one.inputs.size > 0 ? [one] : [];
  });
}

/** The smallest part of a failing model that still fails. */
export async function shrunk(
  model: RandomModel,
  fails: (model: RandomModel) => Promise<boolean>,
): Promise<RandomModel> {
  const isFloat = (name: string): boolean => model.values.get(name)?.type === 'float32';
  const values = model.nodes.flatMap(({ outputs }) => outputs).filter((name) => model.values.has(name));
  const candidates = [...values].flatMap((output) => [
    ...values
      .filter((name) => name !== output && isFloat(name))
      .map((name) => part(model, output, new Set([name]))),
    part(model, output, new Set(values.filter((name) => name !== output && isFloat(name)))),
    part(model, output, new Set()),
  ]);
  const smaller = candidates
    .filter((one): one is RandomModel => one !== undefined && one.nodes.length < model.nodes.length)
    .sort((a, b) => a.nodes.length - b.nodes.length);
  const seen = new Set<string>();
  for (const one of smaller) {
    const key = `${one.outputs} ${[...one.inputs.keys()]} ${one.nodes.map(({ outputs }) => outputs)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    if (await fails(one)) return one;
  }
  return model;
}

/** A model in lines for people: each node with its attributes and sizes. */
export function described({ opset, nodes, inputs, constants, outputs, values }: RandomModel): string {
  const sized = (name: string): string => {
    const held = constants.get(name);
    const { dims = [], data = [] } = held?.given ?? values.get(name) ?? {};
    const small = held && elementCount(dims) <= 6 ? `=${[...data].join(',')}` : '';
    return name === '' ? '-' : `${JSON.stringify(name)}[${dims}]${held ? ` (${held.place}${small})` : ''}`;
  };
  const lines = nodes.map(({ op, inputs, outputs, attributes }) => {
    const list = Object.entries(attributes).map(([name, value]) => `${name}=${Object.values(value)[0]}`);
    return `  ${op}(${inputs.map(sized).join(', ')}) {${list.join(' ')}} -> ${outputs.map(sized).join(', ')}`;
  });
  return [
    `opset ${opset}, inputs ${[...inputs.keys()].map(sized)}, outputs ${outputs.map(sized)}`,
    ...lines,
  ].join('\n');
}
