import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Exported } from './exported-c.js';
import type { Stage, Verdict } from './verdict.js';

export interface Task {
  readonly index: number;
  readonly name: string;
  readonly stages: readonly Stage[];
  /** Whether networks that ran in int8 come back as C. */
  readonly withC: boolean;
}

export interface Answer {
  /** One verdict a way to feed the test. */
  readonly verdicts: Partial<Record<Stage, Verdict[]>>;
  readonly c: Exported[];
}

const worker = fileURLToPath(new URL('./worker.js', import.meta.url));
const patienceMs = 120_000;

/**
 * Judges the tests in as many processes as asked for. A process that dies, or takes longer than two minutes, is a crash of
 * the test that it was at.
 */
export async function judgeAll(
  tasks: readonly Task[],
  processes: number,
  onAnswer: (task: Task, answer: Answer) => void,
): Promise<void> {
  const waiting = [...tasks].reverse();
  const serve = async (): Promise<void> => {
    let child: ChildProcess | undefined;
    for (let task = waiting.pop(); task; task = waiting.pop()) {
      child ??= fork(worker, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      const answer = await ask(child, task);
      if ('failed' in answer) {
        child.kill('SIGKILL');
        child = undefined;
        const verdict: Verdict = { is: 'crashed', why: answer.failed };
        onAnswer(task, {
          verdicts: Object.fromEntries(task.stages.map((stage) => [stage, [verdict]])),
          c: [],
        });
      } else onAnswer(task, answer);
    }
    child?.disconnect();
  };
  await Promise.all(Array.from({ length: Math.min(processes, tasks.length) }, serve));
}

function ask(child: ChildProcess, task: Task): Promise<Answer | { readonly failed: string }> {
  return new Promise((resolve) => {
    let said = '';
    const hear = (chunk: Buffer): void => {
      said = (said + chunk).slice(-2000);
    };
    const done = (answer: Answer | { readonly failed: string }): void => {
      clearTimeout(timer);
      child.removeAllListeners('message').removeAllListeners('exit');
      child.stderr?.off('data', hear);
      resolve(answer);
    };
    const timer = setTimeout(() => done({ failed: 'no answer within two minutes' }), patienceMs);
    child.stderr?.on('data', hear);
    child.once('message', (answer) => done(answer as Answer));
    child.once('exit', (code, signal) => done({ failed: `the process ended by ${signal ?? code}: ${said}` }));
    child.send(task);
  });
}
