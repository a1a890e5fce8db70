import { hostname, totalmem } from 'node:os';
import { type Clock, systemClock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import type { DeviceId } from '../../core/ids.js';
import { hostFacts } from '../../measure/manifest.js';
import { referenceNetworks } from '../../measure/references.js';
import { writeOnnx } from '../../network/write-onnx.js';
import type { RuntimeDescription } from '../../runtime/messages.js';
import { SessionProcess } from '../../runtime/session-process.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { OnnxRuntimeDevice } from './device.js';
import { findHostGpu, gpuEnvironment, type HostGpu } from './host-gpu.js';

export interface OnnxRuntimeDriverOptions {
  /** Execution provider; `cpu` by default. */
  readonly provider?: string;
  /** Intra-operator threads; 1 by default. */
  readonly threads?: number;
  /** Index of the CPU to pin measurements to; null (the default) lets the scheduler choose. */
  readonly cpu?: number | null;
  /** Inferences at a time that the networks are built for; 1 by default. */
  readonly batch?: number;
  /** For a provider of GPUs: be silent where this machine has none, rather than show a device with an obstacle. */
  readonly ifPresent?: boolean;
  /** 4 GiB by default; none for GPUs, whose drivers reserve address space by the terabyte. */
  readonly memoryLimitBytes?: number | null;
  /** Bound of one request to the session process; 30 s by default. */
  readonly timeoutMs?: number;
  /**
   * Environment of the session processes, e.g. VK_ICD_FILENAMES. By default empty for the CPU, and for GPUs what their
   * drivers look for.
   */
  readonly environment?: Readonly<Record<string, string>>;
  /** Seeds the bootstrap. */
  readonly seed?: number;
  readonly clock?: Clock;
  /** The nvidia-smi program. */
  readonly nvidiaSmi?: string;
}

/** Providers that may come with a build of onnxruntime and run on a GPU, or another accelerator, of this machine. */
export const gpuProviders = ['webgpu', 'cuda', 'tensorrt', 'coreml', 'dml'] as const;

/** Finds the machine that the daemon runs on. */
export class OnnxRuntimeDriver implements Driver {
  readonly kind = 'onnxruntime';
  readonly #options: OnnxRuntimeDriverOptions;
  #description: Promise<RuntimeDescription> | null = null;
  #probe: Promise<string | null> | null = null;

  constructor(options: OnnxRuntimeDriverOptions = {}) {
    this.#options = options;
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const { provider = 'cpu', threads = 1, batch = 1, ifPresent = false } = this.#options;
    // Before any process is started for it: most machines have no GPU.
    if (ifPresent && (!offeredHere(provider) || (await this.#gpu(signal)) === null)) return;
    const { cpuModel, clockHz } = hostFacts();
    let runtimeVersion = 'unknown';
    let obstacle: string | null = null;
    let known = true;
    try {
      const { runtimeVersion: version, providers } = await this.#describe(signal);
      runtimeVersion = version;
      known = providers.includes(provider);
      if (!known) {
        obstacle = `This onnxruntime has no execution provider "${provider}". Choose one of ${providers.join(', ')}.`;
      }
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (error.code === 'INTERRUPTED') throw error;
      obstacle = `onnxruntime does not start: ${error.message}. Run npm run setup.`;
    }
    const onGpu = provider !== 'cpu';
    const gpu = onGpu && known ? await this.#gpu(signal) : null;
    if (ifPresent && !known) return;
    if (onGpu && obstacle === null) obstacle = await this.#gpuObstacle(gpu, signal);
    // The defaults keep the short, stable name of the machine; another provider or thread count is another device.
    const variant = onGpu || threads !== 1 ? `-${provider}-${threads}` : '';
    const model = onGpu ? (gpu?.name ?? 'no GPU') : cpuModel;
    yield {
      id: `${onGpu ? 'gpu' : 'cpu'}-${sha256Hex(`${gpu?.uuid ?? cpuModel}\n${hostname()}`).slice(0, 6)}${variant}${batch === 1 ? '' : `-batch-${batch}`}` as DeviceId,
      kind: this.kind,
      label: onGpu ? `${model}, ${provider}` : cpuModel,
      target: {
        model,
        clockHz: onGpu ? null : clockHz,
        runtime: 'onnxruntime',
        runtimeVersion,
        provider,
        threads,
        dtype: 'float32',
        ...(batch !== 1 && { batch }),
        tier: gpu?.software ? 'software' : 'host',
      },
      host: 'local',
      obstacle,
    };
  }

  /** Opens a software adapter too: it computes, and refuses to be timed. */
  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const { provider, tier } = sighting.target;
    const onGpu = provider !== 'cpu';
    const {
      cpu = null,
      memoryLimitBytes = onGpu ? null : 4 * 2 ** 30,
      timeoutMs = onGpu ? 120_000 : 30_000,
      seed = 1,
      clock = systemClock,
      nvidiaSmi,
    } = this.#options;
    const { providers } = await this.#describe(signal);
    if (!providers.includes(provider)) {
      throw new HildaError(
        'PROVIDER_UNKNOWN',
        `no execution provider "${provider}"; this onnxruntime has ${providers.join(', ')}`,
      );
    }
    const gpu = onGpu ? await this.#gpu(signal) : null;
    return new OnnxRuntimeDevice({
      target: sighting.target,
      limits: { memoryBytes: onGpu ? null : totalmem(), weightBytes: null },
      clock,
      memoryLimitBytes,
      timeoutMs,
      cpu,
      environment: this.#environment,
      seed,
      software: tier === 'software',
      nvidiaSmi: gpu?.nvidia ? (nvidiaSmi ?? 'nvidia-smi') : null,
    });
  }

  get #environment(): Readonly<Record<string, string>> {
    const { provider = 'cpu', environment } = this.#options;
    return environment ?? (provider === 'cpu' ? {} : gpuEnvironment());
  }

  #gpu(signal: AbortSignal): Promise<HostGpu | null> {
    const { provider = 'cpu', nvidiaSmi } = this.#options;
    return findHostGpu(provider, this.#environment, {
      signal,
      ...(nvidiaSmi !== undefined && { nvidiaSmi }),
    });
  }

  /** Null where the provider runs a network on a GPU. Tried once: what is installed does not change under a daemon. */
  async #gpuObstacle(gpu: HostGpu | null, signal: AbortSignal): Promise<string | null> {
    const { provider = 'cpu' } = this.#options;
    if (gpu?.software)
      return `${gpu.name} computes on the CPU: its results are right, but no speed is taken from it.`;
    if (gpu === null && (provider === 'webgpu' || provider === 'cuda' || provider === 'tensorrt'))
      return 'No GPU was found on this machine: nvidia-smi lists none, and there is no render node.';
    this.#probe ??= probe(provider, this.#environment, signal).catch((thrown) => {
      this.#probe = null;
      throw thrown;
    });
    return this.#probe;
  }

  /** Asked once: what is installed does not change under a running daemon. A failure is asked again. */
  #describe(signal: AbortSignal): Promise<RuntimeDescription> {
    this.#description ??= describeRuntime(this.#environment, signal).catch((error) => {
      this.#description = null;
      throw error;
    });
    return this.#description;
  }
}

async function describeRuntime(
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<RuntimeDescription> {
  const process = new SessionProcess({ environment });
  try {
    return await process.describe({ signal, timeoutMs: 30_000 });
  } finally {
    await process.stop();
  }
}

/** CoreML is Apple's, DirectML Windows'; there, and for a GPU that only its provider can find, it is worth a try. */
export const offeredHere = (provider: string): boolean =>
  provider === 'coreml' ? process.platform === 'darwin' : provider !== 'dml' || process.platform === 'win32';

/** Loads a small network under the provider; answers with what stands in the way. */
async function probe(
  provider: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | null> {
  const process = new SessionProcess({ environment, memoryLimitBytes: null });
  try {
    const model = writeOnnx(referenceNetworks().convolution);
    await process.load(model, { provider }, { signal, timeoutMs: 120_000 });
    return null;
  } catch (thrown) {
    signal.throwIfAborted();
    return `The provider ${provider} does not work here: ${asHildaError(thrown).message.split('\n')[0]}`;
  } finally {
    await process.stop();
  }
}
