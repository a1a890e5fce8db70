import { Worker } from 'node:worker_threads';
import { type ErrorCode, HildaError } from '../core/errors.js';
import type { PredictorId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { FoundPlugin } from '../plugins/find-plugin.js';
import type { PredictorRecord, Store } from '../store/contract.js';
import { sourcesOf } from './open-predictor.js';
import type { InsightJob, PredictorInsight } from './predictor-insight.js';

/** Grows where insights are made otherwise: what an earlier version kept is made anew. */
const version = 1;

interface Kept {
  readonly version: number;
  readonly updatedMs: number;
  readonly insight: PredictorInsight;
}

type Answer = { readonly insight: PredictorInsight } | { readonly fault: Fault };

interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, Json>>;
}

/** What there is to show of predictors, made in a thread when it is first asked for and stored until the predictor changes. */
export class KeptInsights {
  readonly #store: Pick<Store, 'value' | 'setValue' | 'predictors'>;
  readonly #making = new Map<string, Promise<PredictorInsight>>();

  readonly #plugins: readonly FoundPlugin[];

  /** `plugins`: whose spaces and models the predictors may need. */
  constructor(store: Pick<Store, 'value' | 'setValue' | 'predictors'>, plugins: readonly FoundPlugin[] = []) {
    this.#store = store;
    this.#plugins = plugins;
  }

  /** Throws PREDICTOR_CORRUPT, PREDICTOR_UNFIT. */
  async of(record: PredictorRecord): Promise<PredictorInsight> {
    const { id, updatedMs } = record;
    const kept = (await this.#store.value(keyOf(id))) as unknown as Kept | undefined;
    if (kept?.version === version && kept.updatedMs === updatedMs) return kept.insight;
    const key = `${id} ${updatedMs}`;
    const running = this.#making.get(key) ?? this.#make(record).finally(() => this.#making.delete(key));
    this.#making.set(key, running);
    return running;
  }

  async #make(record: PredictorRecord): Promise<PredictorInsight> {
    const others = sourcesOf(record, await this.#store.predictors());
    const insight = await inThread({ record, others, plugins: this.#plugins });
    const kept: Kept = { version, updatedMs: record.updatedMs, insight };
    // One that cannot be stored, on a full disk for example, is made anew at the next question.
    await this.#store.setValue(keyOf(record.id), kept as unknown as Json).catch(() => {});
    return insight;
  }
}

const keyOf = (id: PredictorId): string => `insight.${id}`;

async function inThread(job: InsightJob): Promise<PredictorInsight> {
  const worker = new Worker(new URL('./insight-thread.js', import.meta.url), { workerData: job });
  try {
    const answer = await new Promise<Answer>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () =>
        reject(new HildaError('INTERNAL', 'the thread that fits predictors ended without an answer')),
      );
    });
    if ('insight' in answer) return answer.insight;
    const { code, message, details } = answer.fault;
    throw new HildaError(code, message, { details });
  } finally {
    await worker.terminate();
  }
}
