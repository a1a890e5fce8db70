import type { Stage, Verdict } from './verdict.js';

export interface Listed {
  readonly name: string;
  readonly stage: Stage;
  readonly verdict: Verdict;
}

export const stageOrder: readonly Stage[] = ['read', 'shapes', 'rewrite', 'host', 'int8', 'c'];

/** All verdicts of a run, with their sums. */
export class Tally {
  readonly list: Listed[] = [];

  add(name: string, stage: Stage, verdict: Verdict): void {
    this.list.push({ name, stage, verdict });
  }

  at(stage: Stage, is: Verdict['is']): Listed[] {
    return this.list.filter((one) => one.stage === stage && one.verdict.is === is);
  }

  count(stage: Stage, is: Verdict['is']): number {
    return this.at(stage, is).length;
  }

  /** Refusals of a stage by error code, most frequent first. */
  codes(stage: Stage): Record<string, number> {
    const counts = new Map<string, number>();
    for (const { verdict } of this.list.filter((one) => one.stage === stage))
      if (verdict.is === 'refused') counts.set(verdict.code, (counts.get(verdict.code) ?? 0) + 1);
    return Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
  }

  /** One line a stage, as a table for people. */
  table(): string {
    const kinds = ['ok', 'refused', 'wrong', 'crashed', 'skipped'] as const;
    const rows = stageOrder
      .filter((stage) => this.list.some((one) => one.stage === stage))
      .map((stage) => {
        const counts = kinds.map((is) => String(this.count(stage, is)).padStart(8)).join('');
        const codes = Object.entries(this.codes(stage)).map(([code, count]) => `${code} ${count}`);
        return `${stage.padEnd(8)}${counts}  ${codes.join(', ')}`;
      });
    return [`${'stage'.padEnd(8)}${kinds.map((is) => is.padStart(8)).join('')}  refused by`, ...rows].join(
      '\n',
    );
  }
}
