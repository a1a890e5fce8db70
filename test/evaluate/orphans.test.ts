import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { CommandEvaluator } from '../../daemon/evaluate/command.js';

const folder = mkdtempSync(join(tmpdir(), 'hilda-orphans-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const never = new AbortController().signal;

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // One that ended and was not waited for yet is a zombie.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

async function until(what: () => boolean, deadlineS = 120): Promise<boolean> {
  for (let i = 0; i < deadlineS * 10; i++) {
    if (what()) return true;
    await systemClock.sleep(100);
  }
  return what();
}

/** A program that starts another one behind it, and writes down both. */
function program(name: string, then: string): { readonly command: string[]; pids(): number[] } {
  const file = join(folder, name);
  const noted = `${file}.pids`;
  writeFileSync(file, `sleep 1000 & echo $$ $! > ${noted}.new; mv ${noted}.new ${noted}; ${then}\n`);
  const pids = (): number[] => {
    try {
      return readFileSync(noted, 'utf8').trim().split(' ').map(Number);
    } catch {
      return [];
    }
  };
  return { command: ['/bin/sh', file], pids };
}

const gone = (pids: readonly number[]) => until(() => pids.length === 2 && !pids.some(lives));

t.test('what a command left running ends with it', async (t) => {
  const { command, pids } = program('leaves', `echo '{"accuracy": 0.5}'`);
  const evaluator = new CommandEvaluator({ metrics: ['accuracy'], command, timeoutMs: 60_000 });
  t.same((await evaluator.evaluate([1], { signal: never })).values.accuracy, 0.5);
  t.ok(await gone(pids()));
});

t.test('time-out and abort end the whole group', async (t) => {
  const slow = program('slow', 'sleep 1000');
  const late = new CommandEvaluator({ metrics: ['accuracy'], command: slow.command, timeoutMs: 3000 });
  await t.rejects(late.evaluate([1], { signal: never }), { code: 'EVALUATION_FAILED', message: /3000 ms/ });
  // On a slow machine the time may end before the program has written its children down.
  t.ok(await until(() => !slow.pids().some(lives)));
  const stopped = program('stopped', 'sleep 1000');
  const abort = new AbortController();
  const running = new CommandEvaluator({
    metrics: ['accuracy'],
    command: stopped.command,
    timeoutMs: 60_000,
  }).evaluate([1], {
    signal: abort.signal,
  });
  running.catch(() => {});
  await until(() => stopped.pids().length === 2);
  abort.abort();
  await t.rejects(running, { code: 'INTERRUPTED' });
  t.ok(await gone(stopped.pids()));
});

t.test('a program that is not there, prints too much, or fails is told', async (t) => {
  const evaluate = (...command: string[]) =>
    new CommandEvaluator({ metrics: ['accuracy'], command, timeoutMs: 60_000 }).evaluate([1], {
      signal: never,
    });
  await t.rejects(evaluate('/no/such/program'), { code: 'EVALUATION_FAILED' });
  await t.rejects(evaluate('/bin/sh', '-c', 'echo bad luck >&2; exit 3'), { message: /bad luck/ });
  await t.rejects(evaluate('/bin/sh', '-c', 'kill -9 $$'), { message: /SIGKILL/ });
  await t.rejects(evaluate('/usr/bin/yes'), { code: 'EVALUATION_FAILED', message: /more than/ });
});

t.test('a command and its own children die with a daemon that is killed', async (t) => {
  const { command, pids } = program('killed', 'sleep 1000');
  const module = fileURLToPath(new URL('../../daemon/evaluate/command.js', import.meta.url));
  const parent = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `const { CommandEvaluator } = await import(${JSON.stringify(module)});
     await new CommandEvaluator({ metrics: ['accuracy'], command: ${JSON.stringify(command)}, timeoutMs: 600000 })
       .evaluate([1], { signal: new AbortController().signal });`,
  ]);
  t.teardown(() => parent.kill('SIGKILL'));
  t.ok(await until(() => pids().length === 2));
  parent.kill('SIGKILL');
  t.ok(await gone(pids()), 'nobody is left');
});
