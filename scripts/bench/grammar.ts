/**
 * `npm run bench -- grammar [--samples N] [--space FILE]`: einspace's promise (Ericsson et al. 2024) at scale. Derivations
 * of a grammar space are drawn until N of them are distinct; how many of these build, come with every shape inferred,
 * run in onnxruntime with outputs of the inferred shape, and answer with finite numbers.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { elementCount, type Graph } from '../../daemon/network/graph.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';

const { values: args } = parseArgs({
  options: {
    samples: { type: 'string', default: '1000' },
    space: { type: 'string', default: 'profiles/spaces/einspace-mini.json' },
  },
});
const space = loadSpace(JSON.parse(readFileSync(args.space, 'utf8')));
const runtime = new SessionProcess({ memoryLimitBytes: null });
const rng = Xoshiro128.fromSeed(1);
const distinct = Number(args.samples);
const ids = new Set<string>();
const structures = new Set<string>();
const counts = { built: 0, inferred: 0, ran: 0, finite: 0 };

/** Whether inference knows every value's shape, and agrees with what the network declares. */
function isInferred(graph: Graph): boolean {
  const shapes = inferShapes(graph);
  return (
    graph.nodes.every(({ outputs }) => outputs.every((name) => name === '' || shapes.has(name))) &&
    graph.outputs.every(({ name, dims }) => shapes.get(name)?.dims.join() === dims.join())
  );
}

const allFinite = (data: Float32Array): boolean => data.every(Number.isFinite);

/** Whether it ran with outputs of the inferred shape, and whether they were finite. */
async function run(graph: Graph): Promise<{ readonly ran: boolean; readonly finite: boolean }> {
  const { handle } = await runtime.load(writeOnnx(graph), { arena: false });
  const feeds = Object.fromEntries(
    graph.inputs.map(({ name, dims }) => {
      const shape = dims as number[];
      const data = Float32Array.from({ length: elementCount(shape) }, () => rng.next());
      return [name, { type: 'float32' as const, dims: shape, data }];
    }),
  );
  const answers = await runtime.run(handle, feeds);
  await runtime.release(handle);
  const outputs = graph.outputs.map(({ name, dims }) => ({ dims, answer: answers[name] }));
  return {
    ran: outputs.every(({ dims, answer }) => answer?.dims.join() === dims.join()),
    finite: outputs.every(({ answer }) => answer !== undefined && allFinite(answer.data as Float32Array)),
  };
}

async function judge(architecture: Architecture): Promise<void> {
  const graph = space.network(architecture);
  counts.built++;
  structures.add(structureHash(graph));
  if (isInferred(graph)) counts.inferred++;
  const { ran, finite } = await run(graph);
  if (ran) counts.ran++;
  if (finite) counts.finite++;
}

let drawn = 0;
while (ids.size < distinct && drawn < 100 * distinct) {
  const architecture = space.sample(rng);
  drawn++;
  const id = architectureId(space.id, architecture);
  if (ids.has(id)) continue;
  ids.add(id);
  await judge(architecture).catch((error: unknown) =>
    console.log(`${JSON.stringify(architecture)}: ${String(error)}`),
  );
}
await runtime.stop();
const figures = { drawn, distinct: ids.size, structures: structures.size, ...counts };
console.log(
  `${space.id}: ${Object.entries(figures)
    .map(([name, value]) => `${value} ${name}`)
    .join(', ')}`,
);
console.log(JSON.stringify({ bench: 'grammar', figures }));
