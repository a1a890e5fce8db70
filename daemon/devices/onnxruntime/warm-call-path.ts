import { GraphBuilder } from '../../network/graph-builder.js';
import { writeOnnx } from '../../network/write-onnx.js';
import type { CallLimits } from '../../runtime/child-channel.js';
import type { SessionProcess } from '../../runtime/session-process.js';

/** After about this many calls Node's compiler has settled: 120 us networks lose the last 2 to 4 % of their time. */
const calls = 1500;

/**
 * Calls a network of one operator until the JavaScript around a run is compiled, 40 ms in all. Without it a fresh
 * process reads small networks slower than a process that serves one for a while, and the fewer runs the protocol
 * takes the slower it reads them.
 */
export async function warmCallPath(process: SessionProcess, limits: CallLimits): Promise<void> {
  const { handle } = await process.load(oneOperator(), { provider: 'cpu', threads: 1 }, limits);
  await process.time([{ handle, runs: calls }], limits);
  await process.release(handle, limits);
}

function oneOperator(): Uint8Array {
  const builder = new GraphBuilder({ name: 'one-operator' });
  builder.output(builder.relu(builder.input('x', 'float32', [1, 4])));
  return writeOnnx(builder.build());
}
