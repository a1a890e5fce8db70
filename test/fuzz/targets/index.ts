import type { FuzzTarget } from '../guided.js';

/** Readers by name; each is loaded when it is asked for. */
const targets: Readonly<Record<string, () => Promise<unknown>>> = {
  onnx: async () => (await import('./models.js')).onnxTarget,
  tflite: async () => (await import('./models.js')).tfliteTarget,
  arrays: async () => (await import('./arrays.js')).arrayTarget(),
  yaml: async () => (await import('./documents.js')).specificationTarget(),
  spaces: async () => (await import('./documents.js')).spaceTarget,
  tables: async () => (await import('./documents.js')).tableTarget,
  frames: async () => (await import('./board.js')).frameTarget,
  board: async () => (await import('./board.js')).boardTarget,
  'ws-page': async () => (await import('./messages.js')).pageTarget,
  'ws-agent': async () => (await import('./messages.js')).agentTarget,
  http: async () => (await import('./http.js')).httpTarget(),
};

export const targetNames = Object.keys(targets);

export async function openTarget(name: string): Promise<FuzzTarget<unknown>> {
  const open = Object.hasOwn(targets, name) ? targets[name] : undefined;
  if (!open) throw new RangeError(`there is no target ${name}: ${targetNames.join(', ')}`);
  return (await open()) as FuzzTarget<unknown>;
}
