import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';
import type { Given } from './onnxruntime.js';
import { givenTensor } from './tensor-proto.js';

const { onnx } = onnxProto;

/** Where Debian's libonnx-testdata puts the ONNX backend tests. */
export const dataFolder = '/usr/share/libonnx-testdata/data';
const bfloat16 = 16;
const kinds = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'];

/** One backend test: a model, what goes in and what must come out. */
export interface OnnxCase {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** By name; null where the value is a sequence, optional or of a type that JavaScript has no array for. */
  readonly inputs: ReadonlyMap<string, Given | null>;
  readonly outputs: ReadonlyMap<string, Given | null>;
}

/** Names as KIND/TEST, sorted; empty where the package is not installed. */
export function caseNames(): string[] {
  if (!existsSync(dataFolder)) return [];
  return kinds.flatMap((kind) => readdirSync(join(dataFolder, kind)).map((test) => `${kind}/${test}`)).sort();
}

export function readCase(name: string): OnnxCase {
  const folder = join(dataFolder, name);
  const bytes = new Uint8Array(readFileSync(join(folder, 'model.onnx')));
  const { graph } = onnx.ModelProto.decode(bytes);
  const constants = new Set((graph?.initializer ?? []).map((tensor) => tensor.name));
  const values = (list: readonly onnxProto.onnx.IValueInfoProto[], role: string) =>
    new Map(
      list.flatMap((value, i): [string, Given | null][] => {
        const file = join(folder, 'test_data_set_0', `${role}_${i}.pb`);
        if (!existsSync(file)) return [];
        // The tests store bfloat16 as whole numbers: the declared type says so.
        const { elemType } = value.type?.tensorType ?? {};
        const usable = elemType !== undefined && elemType !== null && elemType !== bfloat16;
        return [[value.name ?? '', usable ? givenTensor(readFileSync(file)) : null]];
      }),
    );
  // Old models list their constants among the inputs; the stored inputs are the others.
  const free = (graph?.input ?? []).filter((value) => !constants.has(value.name));
  return { name, bytes, inputs: values(free, 'input'), outputs: values(graph?.output ?? [], 'output') };
}

/** Every input is a tensor that can be fed, and every input of the model is stored. */
export function feeds({ inputs }: OnnxCase): Record<string, Given> | undefined {
  const entries = [...inputs];
  return entries.every(([, value]) => value !== null)
    ? (Object.fromEntries(entries) as Record<string, Given>)
    : undefined;
}
