import { asHildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import { type CoreChoice, chooseCores, coresTier, type Topology } from './cores.js';
import type { Phone } from './phone.js';
import { abiOf } from './runners/open-runner.js';
import type { Runner } from './runners/runner.js';

/** One way to measure on a phone: a runner on chosen cores. Another choice is another device with its own target. */
export interface NativeVariant {
  readonly id: DeviceId;
  readonly label: string;
  readonly target: Target;
  readonly runner: Runner;
  readonly cores: CoreChoice | null;
  readonly obstacle: string | null;
}

/** Every runner on every choice of cores; without choices the phone chooses. */
export function nativeVariants(
  phone: Phone,
  runners: readonly Runner[],
  choices: readonly string[],
  topology: Topology | null,
): NativeVariant[] {
  const asked: readonly (string | null)[] = choices.length > 0 ? choices : [null];
  return runners.flatMap((runner) =>
    asked.map((choice) => {
      const { cores, fault } = chosen(choice, topology);
      const suffix = [runnerSuffix(runner), choice?.replaceAll(',', '_')].filter(Boolean);
      return {
        id: [phone.id, ...suffix].join('-') as DeviceId,
        label: [phone.label, ...suffix].join(', '),
        target: targetOf(phone, runner, cores, choice),
        runner,
        cores,
        obstacle: abiObstacle(phone, runner) ?? fault,
      };
    }),
  );
}

/** onnxruntime's own runner goes without: a phone keeps the name that it had before there were others. */
const runnerSuffix = ({ name, takes }: Runner): string =>
  name === 'onnxruntime_perf_test' ? '' : name === 'benchmark_model' ? takes : name;

function chosen(
  choice: string | null,
  topology: Topology | null,
): { readonly cores: CoreChoice | null; readonly fault: string | null } {
  if (choice === null || topology === null) return { cores: null, fault: null };
  try {
    return { cores: chooseCores(choice, topology), fault: null };
  } catch (thrown) {
    const { message, hint } = asHildaError(thrown);
    return { cores: null, fault: `${message}. ${hint}` };
  }
}

const targetOf = (
  { model, abi }: Phone,
  { runtime, version }: Runner,
  cores: CoreChoice | null,
  choice: string | null,
): Target => ({
  model,
  clockHz: null,
  runtime,
  runtimeVersion: `${version} ${abi}`.trim(),
  provider: 'cpu',
  threads: 1,
  dtype: 'float32',
  tier: cores ? coresTier(cores) : choice === null ? 'native' : `native, ${choice} cores`,
});

function abiObstacle({ abi, label }: Phone, { files, name }: Runner): string | null {
  const built = files[0] && abiOf(files[0].bytes);
  if (!built || abi === '' || built === abi) return null;
  // 64-bit phones of most makers run programs of the 32-bit ABI too.
  const older = (abi === 'arm64-v8a' && built === 'armeabi-v7a') || (abi === 'x86_64' && built === 'x86');
  return older ? null : `${name} was built for ${built}, and ${label} has ${abi}. Build it for ${abi}.`;
}
