import type { Json } from '../../core/json.js';
import type { SessionProcess } from '../../runtime/session-process.js';
import { readNvidiaGpus, readProcessMemory } from './nvidia-smi.js';

/** A rise of GPU memory, and how it was seen. */
export interface GpuMemory {
  readonly [key: string]: Json;
  readonly bytes: number;
  readonly source: 'nvidia-smi, by process' | 'nvidia-smi, of the whole GPU';
}

/** Reads an NVIDIA GPU around a measurement. */
export class GpuWatch {
  readonly #options: { readonly program: string; readonly signal: AbortSignal };
  #processBytes: number | null = null;
  #totalBytes: number | null = null;

  constructor(program: string, signal: AbortSignal) {
    this.#options = { program, signal };
  }

  /** Clocks, temperature, power: null where the driver does not answer. */
  async state(): Promise<{ readonly [key: string]: Json } | null> {
    const [gpu] = await readNvidiaGpus(this.#options);
    return gpu ? { ...gpu } : null;
  }

  async markMemory(process: SessionProcess): Promise<void> {
    const { own, total } = await this.#memory(process);
    this.#processBytes = own ?? 0;
    this.#totalBytes = total;
  }

  /** Since `markMemory`. Of the process where the driver tells, else of the whole GPU: others may have part in it. */
  async memoryRise(process: SessionProcess): Promise<GpuMemory | null> {
    const { own, total } = await this.#memory(process);
    if (own !== null)
      return { bytes: Math.max(0, own - (this.#processBytes ?? 0)), source: 'nvidia-smi, by process' };
    if (total === null || this.#totalBytes === null) return null;
    return { bytes: Math.max(0, total - this.#totalBytes), source: 'nvidia-smi, of the whole GPU' };
  }

  async #memory({
    pid,
  }: SessionProcess): Promise<{ readonly own: number | null; readonly total: number | null }> {
    const [[gpu], byProcess] = await Promise.all([
      readNvidiaGpus(this.#options),
      readProcessMemory(this.#options),
    ]);
    return {
      own: (pid === undefined ? undefined : byProcess.get(pid)) ?? null,
      total: gpu?.memoryUsedBytes ?? null,
    };
  }
}
