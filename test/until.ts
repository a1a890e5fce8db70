import { systemClock } from '../daemon/core/clock.js';

/** Waits until something holds; machines under load take minutes. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    if (await holds()) return;
    await systemClock.sleep(50);
  }
  throw new Error(`never: ${what}`);
}
