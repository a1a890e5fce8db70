import { createHmac, randomBytes } from 'node:crypto';
import { backOffMs } from '../../core/back-off.js';
import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import type { WebhookId } from '../../core/ids.js';
import { printableLine } from '../../core/printable.js';
import type { Store } from '../../store/contract.js';
import type { DueDelivery, WebhookRecord } from '../../store/webhook-contract.js';

export interface WebhooksOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Sends one message; for tests. */
  readonly post?: typeof fetch;
  /** Numbers of [0, 1), for waits that differ. */
  readonly chance?: () => number;
  readonly onError?: (error: HildaError, place: string) => void;
}

/** A receiver must have answered by then. */
const answerMs = 10_000;
/** About a day of tries: 10 s, 20 s, and so on up to six hours. */
const waits = { firstMs: 10_000, mostMs: 6 * 3_600_000 };
const mostAttempts = 14;
/** How long nothing may happen before the queue is looked at anyway. */
const idleMs = 3_600_000;
/** After a failure of the store. */
const againMs = 10_000;
const secretPrefix = 'whsec_';
const mostUrlLength = 2000;
const mostErrorLength = 300;

/**
 * Sends what is queued to webhooks: one message at a time to each, in order, until it is received, the receiver says that it is gone,
 * or a day has passed. Messages are signed as the Standard Webhooks specification 1.0 says: HMAC-SHA256 over id, time and body.
 */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #life = new AbortController();
  #running: Promise<void> | undefined;
  /** Ends the present wait. */
  #waiting = new AbortController();

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#running;
  }

  /** Messages were queued. */
  wake(): void {
    this.#waiting.abort();
  }

  /** Answers with the secret, which is shown this once. Throws USAGE_INVALID for what is no address of a receiver. */
  async add(url: string, by: string): Promise<{ readonly webhook: WebhookRecord; readonly secret: string }> {
    const secret = `${secretPrefix}${randomBytes(24).toString('base64')}`;
    const webhook = await this.#options.store.addWebhook({ url: receiverOf(url), secret, by });
    return { webhook, secret };
  }

  /** Queues a message that says only that it is a test. */
  async test(id: WebhookId): Promise<void> {
    const body = { text: 'A test of hilda.' };
    await this.#options.store.queueDelivery({ kind: 'test', body, webhookId: id });
    this.wake();
  }

  async #run(): Promise<void> {
    const { clock, store, onError } = this.#options;
    const { signal } = this.#life;
    while (!signal.aborted) {
      this.#waiting = new AbortController();
      let waitMs = idleMs;
      try {
        const waiting = await store.nextDeliveries();
        const nowMs = clock.nowMs();
        const due = waiting.filter(({ nextMs }) => nextMs <= nowMs);
        await Promise.all(due.map((delivery) => this.#send(delivery)));
        if (due.length > 0) continue;
        // A clock that was set back must not hold messages for long.
        waitMs = Math.min(idleMs, ...waiting.map(({ nextMs }) => nextMs - nowMs));
      } catch (thrown) {
        if (signal.aborted) return;
        onError?.(asHildaError(thrown), 'sending to webhooks');
        waitMs = againMs;
      }
      const wait = AbortSignal.any([signal, this.#waiting.signal]);
      await clock.sleep(waitMs, { signal: wait }).catch(() => {});
    }
  }

  async #send(delivery: DueDelivery): Promise<void> {
    const { store, clock, chance = Math.random } = this.#options;
    const answer = await this.#post(delivery);
    // A stop in the middle of an attempt leaves the message as it was.
    if (this.#life.signal.aborted) return;
    const attempt = delivery.attempt + 1;
    if (answer === 'received') return store.noteDelivery(delivery.id, { error: null });
    if (answer === 'gone')
      return store.noteDelivery(delivery.id, { error: '410', disabled: 'the receiver answered 410 Gone' });
    const retries = attempt < mostAttempts;
    const nextMs = clock.nowMs() + Math.round(backOffMs(attempt, { ...waits, chance }));
    return store.noteDelivery(delivery.id, { error: answer.error, ...(retries && { againMs: nextMs }) });
  }

  async #post(delivery: DueDelivery): Promise<'received' | 'gone' | { readonly error: string }> {
    const { clock, post = fetch } = this.#options;
    const late = new AbortController();
    const timer = new AbortController();
    clock.sleep(answerMs, { signal: timer.signal }).then(
      () => late.abort(),
      () => {},
    );
    try {
      const response = await post(delivery.url, {
        method: 'POST',
        ...signed(delivery, clock.nowMs()),
        // Another address has not been agreed to.
        redirect: 'manual',
        signal: AbortSignal.any([this.#life.signal, late.signal]),
      });
      await response.body?.cancel();
      if (response.ok) return 'received';
      return response.status === 410 ? 'gone' : { error: `it answered ${response.status}` };
    } catch (thrown) {
      if (late.signal.aborted) return { error: `no answer within ${answerMs / 1000} s` };
      const { cause } = thrown as Error;
      const { message } = (cause as Error | undefined) ?? (thrown as Error);
      return { error: printableLine(message).slice(0, mostErrorLength) };
    } finally {
      timer.abort();
    }
  }
}

/** Body and headers of a message. */
function signed(
  { id, kind, body, createdMs, secret }: Omit<DueDelivery, 'nextMs'>,
  nowMs: number,
): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  const text = JSON.stringify({
    type: `hilda.${kind}`,
    timestamp: new Date(createdMs).toISOString(),
    data: body,
  });
  const seconds = String(Math.floor(nowMs / 1000));
  const key = Buffer.from(secret.slice(secretPrefix.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${text}`).digest('base64');
  return {
    body: text,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'hilda',
      'webhook-id': id,
      'webhook-timestamp': seconds,
      'webhook-signature': `v1,${signature}`,
    },
  };
}

/** The address as it is called. Throws USAGE_INVALID. */
function receiverOf(text: string): string {
  const url = text.length <= mostUrlLength && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new HildaError('USAGE_INVALID', 'a webhook is an http or https address', {
      hint: 'For example: https://chat.example.org/hooks/hilda',
    });
  if (url.username !== '' || url.password !== '')
    throw new HildaError('USAGE_INVALID', 'the address of a webhook holds no user and no password', {
      hint: 'The receiver knows hilda by the signature of each message.',
    });
  return url.href;
}
