import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const patienceMs = 120_000;

/** Why a task has no answer: its process died, or took longer than two minutes. */
export interface Failed {
  readonly failed: string;
}

/**
 * Has every task answered by a process that may die of it: as many at a time as asked for, each one task after the other.
 * `worker` is a module beside this one.
 */
export async function answerAll<Task, Answer extends object>(
  worker: string,
  tasks: readonly Task[],
  processes: number,
  onAnswer: (task: Task, answer: Answer | Failed) => void,
): Promise<void> {
  const path = fileURLToPath(new URL(worker, import.meta.url));
  const waiting = [...tasks].reverse();
  const serve = async (): Promise<void> => {
    let child: ChildProcess | undefined;
    for (let task = waiting.pop(); task !== undefined; task = waiting.pop()) {
      child ??= fork(path, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      const answer = await ask<Task, Answer>(child, task);
      if ('failed' in answer) {
        child.kill('SIGKILL');
        child = undefined;
      }
      onAnswer(task, answer);
    }
    child?.disconnect();
  };
  await Promise.all(Array.from({ length: Math.min(processes, tasks.length) }, serve));
}

function ask<Task, Answer extends object>(child: ChildProcess, task: Task): Promise<Answer | Failed> {
  return new Promise((resolve) => {
    let said = '';
    const hear = (chunk: Buffer): void => {
      said = (said + chunk).slice(-2000);
    };
    const done = (answer: Answer | Failed): void => {
      clearTimeout(timer);
      child.removeAllListeners('message').removeAllListeners('exit');
      child.stderr?.off('data', hear);
      resolve(answer);
    };
    const timer = setTimeout(() => done({ failed: 'no answer within two minutes' }), patienceMs);
    child.stderr?.on('data', hear);
    child.once('message', (answer) => done(answer as Answer | Failed));
    child.once('exit', (code, signal) => done({ failed: `the process ended by ${signal ?? code}: ${said}` }));
    child.send(task as object);
  });
}

/** Runs in the worker: answers each task that comes, until the parent leaves. */
export function serveTasks<Task, Answer extends object>(
  judge: (task: Task) => Promise<Answer>,
  stop: () => Promise<void>,
): void {
  process.on('message', (task: Task) => {
    judge(task).then(
      (answer) => process.send?.(answer),
      (error: unknown) => process.send?.({ failed: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on('disconnect', () => {
    void stop().finally(() => process.exit(0));
  });
}
