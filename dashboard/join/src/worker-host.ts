import type { Done, Runner } from './page-world.js';
import type { WorkerReply, WorkerRequest } from './wire.js';

declare const ortFiles: string;

const builds = { wasm: 'ort-wasm-simd-threaded', webgpu: 'ort-wasm-simd-threaded.asyncify' } as const;
const modules = new Map<string, Promise<WebAssembly.Module>>();

/**
 * The runtime, compiled once a page. Called ahead it spares the first network the wait: it is megabytes. A failed
 * download is tried again by the next network.
 */
export function compiled(provider: keyof typeof builds): Promise<WebAssembly.Module> {
  const known = modules.get(provider);
  if (known) return known;
  const module = WebAssembly.compileStreaming(fetch(`${ortFiles}${builds[provider]}.wasm`));
  modules.set(provider, module);
  module.catch(() => modules.delete(provider));
  return module;
}

/** The worker that runs the present network. Ending it is the one way to stop a network that does not end. */
export class WorkerHost implements Runner {
  #worker: Worker | null = null;
  #fail: ((reason: Error) => void) | null = null;

  /** A fresh worker; answers with what it says about itself. */
  async start(provider: 'wasm' | 'webgpu', threads: number): Promise<Done> {
    this.stop();
    this.#worker = new Worker(`worker-${provider}.js`, { type: 'module' });
    return this.ask({ op: 'start', threads, module: await compiled(provider) });
  }

  stop(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#fail?.(new Error('the worker was stopped'));
    this.#fail = null;
  }

  ask(request: WorkerRequest): Promise<Done> {
    const worker = this.#worker;
    if (!worker) return Promise.reject(new Error('no worker was started'));
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => {
        this.#fail = null;
        if ('failed' in data) reject(new Error(data.failed));
        else resolve(data);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        this.#fail = null;
        reject(new Error(event.message || 'the worker failed to start'));
      };
      worker.postMessage(request);
    });
  }
}
