import { signal } from '@preact/signals';

/** What the latest look at the API failed with, said on the page instead of leaving old numbers unexplained. */
export const failure = signal<string | undefined>(undefined);

export async function attempt(load: () => Promise<void>): Promise<void> {
  try {
    await load();
    failure.value = undefined;
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  }
}

/** One load at a time, and once more where it was asked for meanwhile: no older answer comes in after a newer one. */
export function inTurn(load: () => Promise<void>): () => Promise<void> {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await attempt(load);
    }
    running = false;
  };
}

/** As `inTurn`, and no sooner than `restMs` after the last time: news that come faster are looked at together. */
export function paced(load: () => Promise<void>, restMs = 1000): () => void {
  const turn = inTurn(load);
  let isResting = false;
  let again = false;
  const go = (): void => {
    if (isResting) {
      again = true;
      return;
    }
    isResting = true;
    void turn().then(() =>
      setTimeout(() => {
        isResting = false;
        if (!again) return;
        again = false;
        go();
      }, restMs),
    );
  };
  return go;
}
