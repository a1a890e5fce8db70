/** Side by side where devices compute by themselves, one after the other where they share a host; all, even if some fail. */
export async function inTurnByHost<T extends { readonly deviceId: string; readonly host: string | null }>(
  columns: readonly T[],
  work: (column: T) => Promise<void>,
): Promise<void> {
  const turns = new Map<string, T[]>();
  for (const column of columns) {
    const key = column.host === null ? `device ${column.deviceId}` : `host ${column.host}`;
    turns.set(key, [...(turns.get(key) ?? []), column]);
  }
  const outcomes = await Promise.allSettled(
    [...turns.values()].map(async (turn) => {
      for (const column of turn) await work(column);
    }),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Waits for work that goes on by itself. Rejects with the signal's reason on abort. */
export async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let onAbort: (() => void) | undefined;
  try {
    await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
      }),
    ]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}
