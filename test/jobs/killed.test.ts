import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import type { JobRecord } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';

t.setTimeout(1_800_000);

const child = fileURLToPath(new URL('./killed-child.js', import.meta.url));
/** More than the test needs, where somebody wants to know. */
const kills = Number(process.env.HILDA_KILLS ?? 6);
const perKill = 15;

/** Runs the child to its end, or kills it so long after its jobs began. Answers whether it ended by itself. */
function run(dataDir: string, count: number, killAfterMs: number | null): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const daemon = spawn(process.execPath, [child, dataDir, String(count)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // All that it starts has this home beside the rest of its environment.
      env: { ...process.env, HOME: dataDir },
    });
    let text = '';
    let armed = false;
    daemon.stdout.on('data', (data) => {
      text += String(data);
      if (armed || killAfterMs === null || !text.includes('begun')) return;
      armed = true;
      void systemClock.sleep(killAfterMs).then(() => daemon.kill('SIGKILL'));
    });
    daemon.on('error', reject);
    daemon.on('exit', (code, by) => {
      if (code === 0 || by === 'SIGKILL') resolve(text.includes('ended'));
      else reject(new Error(`the child ended with ${code ?? by}: ${text}`));
    });
  });
}

/** Processes that daemons of this folder started and that are still there. */
function leftBehind(dataDir: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`HOME=${dataDir}`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** How many do not end within two minutes after the last daemon; they are ended then. */
async function orphansOf(dataDir: string): Promise<number> {
  for (let i = 0; i < 1200 && leftBehind(dataDir).length > 0; i++) await systemClock.sleep(100);
  const left = leftBehind(dataDir);
  for (const pid of left) process.kill(pid, 'SIGKILL');
  return left.length;
}

t.test(`jobs survive ${kills} kills: none is lost, none counts twice`, async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-killed-jobs-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const seed = randomBytes(4).readUInt32LE();
  const rng = Xoshiro128.fromSeed(seed);
  let killed = 0;
  let count = perKill;
  for (; killed < kills; killed++) {
    // New work each time that all of it was done before the blow.
    if (await run(dataDir, count, randomInt(rng, 400))) count += perKill;
    else if (killed % 3 === 2) count += perKill;
    if (killed % 20 === 19) t.comment(`${killed + 1} kills, ${count} jobs`);
  }
  t.ok(await run(dataDir, count, null), `seed ${seed}`);
  const left = existsSync('/proc/self/environ') ? await orphansOf(dataDir) : 0;
  t.equal(left, 0, 'sessions, evaluators and emulators end with the daemon');
  const store = await openStore({ dataDir, clock: systemClock });
  t.teardown(() => store.close());
  const jobs = await store.jobs({ limit: 100_000 });
  const keys = new Map<string, JobRecord[]>();
  for (const job of jobs)
    keys.set(job.idempotencyKey as string, [...(keys.get(job.idempotencyKey as string) ?? []), job]);
  t.equal(keys.size, count, 'no job is lost');
  t.equal(jobs.length, count, 'no job is there twice');
  const yields = jobs.map(({ result }) => (result as { measurementId?: string } | null)?.measurementId);
  const isMeasured = ({ idempotencyKey }: JobRecord): boolean =>
    Number(idempotencyKey?.split('-')[1]) % 3 !== 2;
  for (const [i, job] of jobs.entries()) {
    if (isMeasured(job)) t.ok(job.state === 'done' && yields[i] !== undefined, `${job.id} ${job.state}`);
    else t.match(job, { state: 'failed', error: { code: 'STATE_CONFLICT' } });
  }
  const measurements = await store.measurements({ limit: 100_000 });
  t.equal(measurements.length, jobs.filter(isMeasured).length, 'each result is stored once');
  t.equal(new Set(yields.filter((id) => id !== undefined)).size, measurements.length);
  t.same(await store.leases(), []);
  t.comment(`kills ${kills}, jobs ${count}, orphans ${left}`);
});
