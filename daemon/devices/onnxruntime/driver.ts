import { hostname, totalmem } from 'node:os';
import { type Clock, systemClock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import type { DeviceId } from '../../core/ids.js';
import { hostFacts } from '../../measure/manifest.js';
import type { RuntimeDescription } from '../../runtime/messages.js';
import { SessionProcess } from '../../runtime/session-process.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { OnnxRuntimeDevice } from './device.js';

export interface OnnxRuntimeDriverOptions {
  /** Execution provider; `cpu` by default. */
  readonly provider?: string;
  /** Intra-operator threads; 1 by default. */
  readonly threads?: number;
  /** Index of the CPU to pin measurements to; null (the default) lets the scheduler choose. */
  readonly cpu?: number | null;
  /** 4 GiB by default. */
  readonly memoryLimitBytes?: number;
  /** Bound of one request to the session process; 30 s by default. */
  readonly timeoutMs?: number;
  /** Environment of the session processes, e.g. VK_ICD_FILENAMES; empty by default. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Seeds the bootstrap. */
  readonly seed?: number;
  readonly clock?: Clock;
}

/** Finds the machine that the daemon runs on. */
export class OnnxRuntimeDriver implements Driver {
  readonly kind = 'onnxruntime';
  readonly #options: OnnxRuntimeDriverOptions;
  #description: Promise<RuntimeDescription> | null = null;

  constructor(options: OnnxRuntimeDriverOptions = {}) {
    this.#options = options;
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const { provider = 'cpu', threads = 1 } = this.#options;
    const { cpuModel, clockHz } = hostFacts();
    let runtimeVersion = 'unknown';
    let obstacle: string | null = null;
    try {
      const { runtimeVersion: version, providers } = await this.#describe(signal);
      runtimeVersion = version;
      if (!providers.includes(provider)) {
        obstacle = `This onnxruntime has no execution provider "${provider}". Choose one of ${providers.join(', ')}.`;
      }
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (error.code === 'INTERRUPTED') throw error;
      obstacle = `onnxruntime does not start: ${error.message}. Run npm run setup.`;
    }
    // The defaults keep the short, stable name of the machine; another provider or thread count is another device.
    const variant = provider === 'cpu' && threads === 1 ? '' : `-${provider}-${threads}`;
    yield {
      id: `cpu-${sha256Hex(`${cpuModel}\n${hostname()}`).slice(0, 6)}${variant}` as DeviceId,
      kind: this.kind,
      label: cpuModel,
      target: {
        model: cpuModel,
        clockHz,
        runtime: 'onnxruntime',
        runtimeVersion,
        provider,
        threads,
        dtype: 'float32',
        tier: 'host',
      },
      obstacle,
    };
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const {
      cpu = null,
      memoryLimitBytes = 4 * 2 ** 30,
      timeoutMs = 30_000,
      environment = {},
      seed = 1,
    } = this.#options;
    const { clock = systemClock } = this.#options;
    const { provider } = sighting.target;
    const { providers } = await this.#describe(signal);
    if (!providers.includes(provider)) {
      throw new HildaError(
        'PROVIDER_UNKNOWN',
        `no execution provider "${provider}"; this onnxruntime has ${providers.join(', ')}`,
      );
    }
    return new OnnxRuntimeDevice({
      target: sighting.target,
      limits: { memoryBytes: totalmem(), weightBytes: null },
      clock,
      memoryLimitBytes,
      timeoutMs,
      cpu,
      environment,
      seed,
    });
  }

  /** Asked once: what is installed does not change under a running daemon. A failure is asked again. */
  #describe(signal: AbortSignal): Promise<RuntimeDescription> {
    this.#description ??= describeRuntime(signal).catch((error) => {
      this.#description = null;
      throw error;
    });
    return this.#description;
  }
}

async function describeRuntime(signal: AbortSignal): Promise<RuntimeDescription> {
  const process = new SessionProcess();
  try {
    return await process.describe({ signal, timeoutMs: 30_000 });
  } finally {
    await process.stop();
  }
}
