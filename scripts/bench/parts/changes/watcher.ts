/** A detector that sees one point after the other. */
export interface Watcher {
  /** 1 or -1 where this point raises an alarm of a change up or down, else 0. */
  push(value: number): number;
}

/** A detector by its threshold: the larger, the fewer alarms. */
export interface Method {
  readonly name: string;
  /** Thresholds between which the one with the wanted false alarms lies. */
  readonly range: readonly [number, number];
  make(threshold: number): Watcher;
}
