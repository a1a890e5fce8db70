import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common';
import type { Ort } from './ort.js';
import { tensorOf, valuesOf } from './tensors.js';
import type { Leg, Slot, Tensor, TypedTensor, WorkerReply, WorkerRequest } from './wire.js';

interface Loaded {
  readonly session: InferenceSession;
  /** What timed runs are fed with, where the daemon said so. */
  readonly inputs: readonly TypedTensor[] | null;
  feeds: Record<string, OrtTensor> | null;
}

const heapPageBytes = 4096;

/** Runs networks for the page: one a slot, in this worker's own wasm heap. */
export function serve(ort: Ort, provider: 'wasm' | 'webgpu', files: string): void {
  const heaps = watchHeaps();
  const loaded = new Map<Slot, Loaded>();
  const slot = (name: Slot): Loaded => {
    const found = loaded.get(name);
    if (!found) throw new Error(`no network was loaded as ${name}`);
    return found;
  };

  const answer = async (request: WorkerRequest): Promise<WorkerReply> => {
    switch (request.op) {
      case 'start':
        ort.env.logLevel = 'error';
        ort.env.wasm.wasmPaths = files;
        ort.env.wasm.numThreads = request.threads;
        reuse(request.module as WebAssembly.Module);
        // Its mere presence keeps the runtime from fetching the file again.
        ort.env.wasm.wasmBinary = new ArrayBuffer(8);
        await warmRuntime(ort);
        return { value: { touchedBytes: touchedBytes(heaps), timerStepUs: timerStepUs() } };
      case 'load': {
        const startMs = performance.now();
        const session = await ort.InferenceSession.create(request.model, {
          executionProviders: [provider],
          graphOptimizationLevel: 'all',
          executionMode: 'sequential',
          // Operators that the GPU lacks would run on the CPU without a word.
          ...(provider === 'webgpu' && { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
        });
        loaded.set(request.slot, { session, inputs: request.feeds, feeds: null });
        return { value: { loadUs: Math.max(1, (performance.now() - startMs) * 1000) } };
      }
      case 'first': {
        const { session, feeds } = fed(ort, slot(request.slot));
        const startMs = performance.now();
        await session.run(feeds);
        const firstRunUs = (performance.now() - startMs) * 1000;
        return { value: { firstRunUs, touchedBytes: touchedBytes(heaps) } };
      }
      case 'time': {
        const startMs = performance.now();
        const samplesUs = await time(request.legs, (name) => fed(ort, slot(name)));
        return { value: { samplesUs, tookUs: (performance.now() - startMs) * 1000 } };
      }
      case 'run': {
        const { session } = slot(request.slot);
        const feeds = Object.fromEntries(request.inputs.map((input) => [input.name, tensorOf(ort, input)]));
        const outputs = await session.run(feeds);
        const tensors: Tensor[] = Object.entries(outputs).map(([name, output]) => ({
          name,
          dims: output.dims,
          data: valuesOf(output),
        }));
        return { value: {}, outputs: tensors };
      }
    }
  };

  let queue: Promise<void> = Promise.resolve();
  self.onmessage = ({ data }: MessageEvent<WorkerRequest>) => {
    queue = queue.then(async () => {
      const reply = await answer(data).catch((thrown: unknown): WorkerReply => ({ failed: wordsOf(thrown) }));
      (self as unknown as { postMessage(message: WorkerReply): void }).postMessage(reply);
    });
  };
}

/**
 * Lets the runtime start from a module that the page compiled once: compiling takes a phone seconds, and a fresh worker
 * is about a fresh heap, not about compiling again.
 */
function reuse(module: WebAssembly.Module): void {
  const instantiate = WebAssembly.instantiate.bind(WebAssembly) as (
    module: WebAssembly.Module,
    imports?: WebAssembly.Imports,
  ) => Promise<WebAssembly.Instance>;
  Object.assign(WebAssembly, {
    instantiate: async (source: unknown, imports?: WebAssembly.Imports) =>
      source instanceof WebAssembly.Module
        ? instantiate(source, imports)
        : { module, instance: await instantiate(module, imports) },
  });
}

/** Outputs come back to the CPU within the timed region, so that a GPU's work and copies are in it. */
async function time(
  legs: readonly Leg[],
  of: (slot: Slot) => { readonly session: InferenceSession; readonly feeds: Record<string, OrtTensor> },
): Promise<number[][]> {
  const samples: number[][] = [];
  for (const { slot, runs, inner } of legs) {
    const { session, feeds } = of(slot);
    const leg: number[] = [];
    for (let run = 0; run < runs; run++) {
      const startMs = performance.now();
      for (let i = 0; i < inner; i++) await session.run(feeds);
      leg.push((performance.now() - startMs) * 1000);
    }
    samples.push(leg);
  }
  return samples;
}

/**
 * The input that every timed run gets: ordinary numbers in [-1, 1), since zeros and denormals change the speed of some
 * kernels, always the same ones.
 */
function fed(ort: Ort, loaded: Loaded): { session: InferenceSession; feeds: Record<string, OrtTensor> } {
  const { session, inputs } = loaded;
  if (inputs) loaded.feeds ??= Object.fromEntries(inputs.map((input) => [input.name, tensorOf(ort, input)]));
  loaded.feeds ??= Object.fromEntries(
    session.inputMetadata.map((input) => {
      if (!input.isTensor || input.type !== 'float32')
        throw new Error(`input "${input.name}" is not float32`);
      const dims = input.shape.map((dim) => {
        if (typeof dim === 'number') return dim;
        throw new Error(`input "${input.name}" leaves the dimension "${dim}" open`);
      });
      let state = 1;
      const data = Float32Array.from({ length: dims.reduce((product, dim) => product * dim, 1) }, () => {
        // The multiplier of Park and Miller, 1988: enough for inputs.
        state = (state * 48271) % 2147483647;
        return (state / 2147483647) * 2 - 1;
      });
      return [input.name, new ort.Tensor('float32', data, dims)];
    }),
  );
  return { session, feeds: loaded.feeds };
}

/** A session of one addition, so that the runtime itself is on the heap before any network is counted against it. */
async function warmRuntime(ort: Ort): Promise<void> {
  const session = await ort.InferenceSession.create(identityModel(), { executionProviders: ['wasm'] });
  await session.release();
}

/** y = Identity(x), float32 [1], opset 13, in ONNX's protobuf form. */
function identityModel(): Uint8Array {
  const bytes = (...parts: (number | string | Uint8Array)[]): Uint8Array =>
    Uint8Array.from(
      parts.flatMap((part) =>
        typeof part === 'number'
          ? [part]
          : [...(typeof part === 'string' ? new TextEncoder().encode(part) : part)],
      ),
    );
  const field = (tag: number, content: Uint8Array | string): Uint8Array =>
    bytes(tag, content.length, content);
  const value = (name: string): Uint8Array => {
    const shape = field(0x0a, bytes(0x08, 1));
    const tensor = field(0x0a, bytes(0x08, 1, field(0x12, shape)));
    return bytes(field(0x0a, name), field(0x12, tensor));
  };
  const node = bytes(field(0x0a, 'x'), field(0x12, 'y'), field(0x22, 'Identity'));
  const graph = bytes(field(0x0a, node), field(0x12, 'g'), field(0x5a, value('x')), field(0x62, value('y')));
  return bytes(0x08, 8, field(0x3a, graph), field(0x42, bytes(0x10, 13)));
}

/** Every wasm heap that is made from now on. */
function watchHeaps(): WebAssembly.Memory[] {
  const heaps: WebAssembly.Memory[] = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, args) {
      const heap = Reflect.construct(target, args) as WebAssembly.Memory;
      heaps.push(heap);
      return heap;
    },
  });
  return heaps;
}

/**
 * Bytes of heap pages that hold anything but zeros: a high-water mark of what was ever written, to 4 KiB. A page of
 * nothing but zeros is missed; the heap's own size moves in steps far too coarse.
 */
function touchedBytes(heaps: readonly WebAssembly.Memory[]): number {
  let pages = 0;
  for (const { buffer } of heaps) {
    const words = new Int32Array(buffer);
    const perPage = heapPageBytes / 4;
    for (let page = 0; page < words.length; page += perPage) {
      for (let i = page; i < page + perPage; i++) {
        if (words[i] !== 0) {
          pages++;
          break;
        }
      }
    }
  }
  return pages * heapPageBytes;
}

/** The least step that this worker's clock makes: browsers coarsen it, more so on pages that are not isolated. */
function timerStepUs(): number {
  let step = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 30; i++) {
    const before = performance.now();
    let after = before;
    while (after === before) after = performance.now();
    step = Math.min(step, after - before);
  }
  return Math.round(step * 1e6) / 1000;
}

const wordsOf = (thrown: unknown): string =>
  (thrown instanceof Error
    ? thrown.message
    : typeof thrown === 'number'
      ? 'out of memory'
      : String(thrown)
  ).slice(0, 4000);
