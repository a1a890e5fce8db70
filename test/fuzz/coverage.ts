import { Session } from 'node:inspector/promises';

/** Which blocks of our own code ran, by V8's own counts. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();
  readonly #isOurs: (url: string) => boolean;

  private constructor(isOurs: (url: string) => boolean) {
    this.#isOurs = isOurs;
  }

  static async start(isOurs: (url: string) => boolean): Promise<Coverage> {
    const coverage = new Coverage(isOurs);
    coverage.#session.connect();
    await coverage.#session.post('Profiler.enable');
    await coverage.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return coverage;
  }

  get blocks(): number {
    return this.#seen.size;
  }

  /** Blocks that ran since the last call and never before. `keep` false: they stay unknown. */
  async fresh(keep = true): Promise<number> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    let found = 0;
    for (const { url, scriptId, functions } of result) {
      if (!this.#isOurs(url)) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges) {
          const name = `${scriptId}:${startOffset}-${endOffset}`;
          if (count === 0 || this.#seen.has(name)) continue;
          found++;
          if (keep) this.#seen.add(name);
        }
    }
    return found;
  }

  async stop(): Promise<void> {
    await this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}
