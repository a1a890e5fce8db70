import type { Clock } from '../../core/clock.js';
import type { Calibration } from '../../measure/calibration.js';
import { legUs } from '../../measure/measure-latency.js';
import { referenceNetworks } from '../../measure/references.js';
import { median } from '../../measure/statistics.js';
import { writeOnnx } from '../../network/write-onnx.js';
import type { SessionProcess } from '../../runtime/session-process.js';
import { warmCallPath } from './warm-call-path.js';

const warmUpLegs = 10;
const legs = 60;
/** Legs as long as those of a round. */
const runsPerLeg = 12;

/** Times the two references, one leg of each in turn, and takes the median over legs. About a second. */
export async function calibrate(
  process: SessionProcess,
  session: { readonly provider: string; readonly threads: number },
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<Calibration> {
  await warmCallPath(process, { signal });
  const networks = referenceNetworks();
  const plan: { handle: number; runs: number }[] = [];
  for (const network of [networks.convolution, networks.transformer]) {
    const { handle } = await process.load(writeOnnx(network), session, { signal });
    plan.push({ handle, runs: runsPerLeg });
  }
  const convolution: number[] = [];
  const transformer: number[] = [];
  for (let leg = 0; leg < warmUpLegs + legs; leg++) {
    const { samplesUs } = await process.time(plan, { signal });
    if (leg < warmUpLegs) continue;
    convolution.push(legUs(samplesUs[0] as Float64Array));
    transformer.push(legUs(samplesUs[1] as Float64Array));
  }
  return { convolutionUs: median(convolution), transformerUs: median(transformer), takenAtMs: clock.nowMs() };
}
