import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../daemon/core/clock.js';
import type { Acknowledged, Scene } from './scenes.js';

export type LifeMessage =
  | { readonly is: 'ready' }
  | { readonly is: 'up' | 'over'; readonly which: number }
  | { readonly is: 'told'; readonly which: number; readonly what: Acknowledged }
  | { readonly is: 'failed'; readonly which: number; readonly why: string };

export interface LifeEnd {
  /** It did all that there was to do. */
  readonly isOver: boolean;
  readonly told: readonly Acknowledged[];
  /** Why it ended by itself before it was done. */
  readonly failure: string | null;
}

export interface LivesEnd {
  /** In the order of the scenes. */
  readonly ends: readonly LifeEnd[];
  readonly wasKilled: boolean;
  /** Processes that they had started and that outlived them. */
  readonly orphans: number;
  /** From the order to the first daemon's being up; null where none was. */
  readonly startMs: number | null;
}

const program = fileURLToPath(new URL('./life-child.js', import.meta.url));
/** A process that its parent left ends within this. */
const mostMs = 60_000;

/** Processes that wait for their scene, started while another one lives: starting takes longer than most lives. */
export class Lives {
  #waiting: ChildProcess;

  constructor() {
    this.#waiting = begin();
  }

  /** Lives the scenes to their ends, or until the moment that `killAt` names: so long after the order, or the first start. */
  async live(
    scenes: readonly Scene[],
    killAt: { readonly after: 'order' | 'up'; readonly ms: number } | null,
  ): Promise<LivesEnd> {
    const child = this.#waiting;
    this.#waiting = begin();
    const ends = scenes.map(() => ({
      isOver: false,
      told: [] as Acknowledged[],
      failure: null as string | null,
    }));
    let startMs: number | null = null;
    let orphans: Promise<number> | undefined;
    let orderedMs = 0;
    const strike = async (): Promise<void> => {
      await systemClock.sleep(killAt?.ms ?? 0);
      if (child.exitCode === null && ends.some(({ isOver }) => !isOver)) orphans = kill(child);
    };
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const order = (): void => {
      orderedMs = systemClock.nowMs();
      child.send(scenes, () => {});
      if (killAt?.after === 'order') void strike();
    };
    child.on('message', (message: LifeMessage) => {
      if (message.is === 'ready') return order();
      const end = ends[message.which] as (typeof ends)[number];
      if (message.is === 'told') end.told.push(message.what);
      if (message.is === 'failed') end.failure = message.why;
      if (message.is === 'over') end.isOver = true;
      if (message.is !== 'up' || startMs !== null) return;
      startMs = systemClock.nowMs() - orderedMs;
      if (killAt?.after === 'up') void strike();
    });
    // It may have been ready before anybody listened.
    if (ready.has(child)) order();
    await ended;
    const wasKilled = orphans !== undefined;
    for (const end of ends)
      if (!end.isOver && !wasKilled) end.failure ??= `it ended with ${child.exitCode ?? child.signalCode}`;
    return { ends, wasKilled, orphans: (await orphans) ?? 0, startMs };
  }

  stop(): void {
    this.#waiting.kill('SIGKILL');
  }
}

const ready = new WeakSet<ChildProcess>();

function begin(): ChildProcess {
  const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.on('message', (message: LifeMessage) => {
    if (message.is === 'ready') ready.add(child);
  });
  return child;
}

/** Answers with how many of those that it had started are there a minute later; they are ended then. */
async function kill(child: ChildProcess): Promise<number> {
  if (child.pid === undefined || child.exitCode !== null) return 0;
  // Stopped first: it starts nobody between the look and the blow.
  child.kill('SIGSTOP');
  const started = startedBy(child.pid);
  child.kill('SIGKILL');
  let left = started;
  for (let waitedMs = 0; left.length > 0 && waitedMs < mostMs; waitedMs += 20) {
    await systemClock.sleep(20);
    left = left.filter(isThere);
  }
  for (const { pid } of left) process.kill(pid, 'SIGKILL');
  return left.length;
}

interface Known {
  readonly pid: number;
  /** When it began, in ticks: a number is given again. */
  readonly began: string;
}

/** All processes that come from this one, as far as the system tells. */
function startedBy(parent: number): Known[] {
  const all = readdirOf('/proc').flatMap((name) => {
    const facts = /^\d+$/.test(name) ? factsOf(Number(name)) : null;
    return facts ? [facts] : [];
  });
  const found: Known[] = [];
  const parents = new Set([parent]);
  for (let before = -1; before < parents.size; ) {
    before = parents.size;
    for (const one of all) {
      if (parents.has(one.pid) || !parents.has(one.parent)) continue;
      parents.add(one.pid);
      found.push(one);
    }
  }
  return found;
}

const isThere = ({ pid, began }: Known): boolean => factsOf(pid)?.began === began;

function factsOf(pid: number): (Known & { readonly parent: number }) | null {
  try {
    // The name in brackets may hold anything.
    const rest = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    // A process that has ended and was not waited for yet is no orphan.
    if (rest[0] === 'Z' || rest[0] === 'X') return null;
    return { pid, parent: Number(rest[1]), began: rest[19] ?? '' };
  } catch {
    return null;
  }
}

function readdirOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
