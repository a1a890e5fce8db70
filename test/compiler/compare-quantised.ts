import { Xoshiro128 } from '../../daemon/core/rng.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import type { Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { RuntimeTensors } from '../../daemon/runtime/messages.js';
import type { SessionProcess } from '../../daemon/runtime/session-process.js';
import { type CompilerBoard, compile, Reference } from '../../firmware-bridge/compiler/index.js';

/** How far integers of a compiled network lie from onnxruntime's, in steps. */
export interface Agreement {
  elements: number;
  equal: number;
  largest: number;
}

export const noAgreement = (): Agreement => ({ elements: 0, equal: 0, largest: 0 });

export const scalarBoard: CompilerBoard = {
  weightLayout: 'scalar',
  arenaBytes: 2 ** 20,
  flashBytes: 2 ** 22,
  weightsAt: 'flash',
  poolBytes: 0,
  fetchesInput: false,
};

/** Compiles without calibration, which throws where a network does not bring all its scales. */
export const compileQuantised = (graph: Graph, board = scalarBoard) =>
  compile(graph, {
    board,
    weights: 'real',
    calibration: (_, values) => {
      throw new Error(`asked for the ranges of ${values.join()}`);
    },
  });

const asReal = (feed: RuntimeTensors) =>
  Object.fromEntries(
    Object.entries(feed).map(([name, { dims, data }]) => [
      name,
      { dims, data: Float32Array.from(data as Float32Array) },
    ]),
  );

/**
 * The largest signed weight for which onnxruntime's sums of products are exact on this processor: 127, or 63 where it adds two
 * products of bytes in 16 bits, which overflow (x86 without VNNI: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html,
 * "When and why do I need to try U8U8?").
 */
export async function widestExactWeight(runtime: SessionProcess): Promise<number> {
  const b = new GraphBuilder({ name: 'sums', opset: 17 });
  const x = b.input('x', 'uint8', [8, 32]);
  const data = new Uint8Array(Int8Array.from({ length: 32 * 16 }, () => 127).buffer);
  b.output(b.node('MatMulInteger', [x, b.constant('w', { dtype: 'int8', dims: [32, 16], data })]), 'y');
  const { signal } = new AbortController();
  const { handle } = await runtime.load(writeOnnx(b.build()), { optimisation: 'disabled' }, { signal });
  const feed = { x: { type: 'uint8' as const, dims: [8, 32], data: new Uint8Array(256).fill(255) } };
  const { y } = await runtime.run(handle, feed, {}, { signal });
  await runtime.release(handle);
  return y?.data.every((sum) => sum === 32 * 255 * 127) ? 127 : 63;
}

/** Runs both on the same inputs and adds what is found to `agreement`. */
export async function compareQuantised(
  graph: Graph,
  feeds: readonly RuntimeTensors[],
  runtime: SessionProcess,
  optimisation: 'disabled' | 'all',
  agreement: Agreement,
): Promise<void> {
  const { signal } = new AbortController();
  const compiled = await compileQuantised(graph);
  const reference = new Reference(compiled.program);
  const { handle } = await runtime.load(writeOnnx(graph), { optimisation }, { signal });
  for (const feed of feeds) {
    const wanted = await runtime.run(handle, feed, {}, { signal });
    const given = allFromBoard(reference.run(allToBoard(asReal(feed), compiled.inputs)), compiled.outputs);
    for (const { name } of graph.outputs) {
      const [a, b] = [given[name]?.data ?? [], wanted[name]?.data ?? []];
      if (a.length !== b.length) throw new Error(`${a.length} elements of ${name} instead of ${b.length}`);
      for (let i = 0; i < a.length; i++) {
        const off = Math.abs((a[i] as number) - Number(b[i]));
        agreement.elements++;
        if (off === 0) agreement.equal++;
        agreement.largest = Math.max(agreement.largest, off);
      }
    }
  }
  await runtime.release(handle, { signal });
}

export const rngOf = (seed: number) => Xoshiro128.fromSeed(seed);
