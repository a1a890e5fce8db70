import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pick, type Rng, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { type Findings, Ledger, namesIn, noFindings, outcomeOf } from './ledger.js';
import { Lives } from './lives.js';
import { oldDatabase } from './old-database.js';
import type { Scene, SceneKind } from './scenes.js';

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** In turn. */
  readonly kinds?: readonly SceneKind[];
  readonly trials?: number;
  /** Daemons in one process, each with a folder of its own: one blow hits them all. */
  readonly abreast?: number;
  /** Folders with a finding are copied into this one. */
  readonly keep?: string | undefined;
  readonly onRound?: (kills: number, found: Findings) => void;
}

export interface KillFigures {
  /** Of daemons that had work left. */
  readonly kills: number;
  /** Of processes. */
  readonly blows: number;
  readonly killsByKind: Readonly<Record<string, number>>;
  /** Data folders, each lived to its end. */
  readonly folders: number;
  readonly lost: number;
  readonly doubled: number;
  readonly corrupt: number;
  readonly orphans: number;
  /** Folders that came to another end than an unbroken run. */
  readonly differing: number;
  /** Lives that ended by themselves before they were done. */
  readonly failed: number;
  readonly findings: readonly string[];
}

const countOf = ({ lost, doubled, corrupt }: Findings): number =>
  lost.length + doubled.length + corrupt.length;

const defaultKinds: readonly SceneKind[] = ['study', 'jobs', 'training', 'backup', 'study', 'migration'];
const samplers = ['random', 'nsga2', 'linas'];
const seeds = [7, 8];
const fixtures = [1, 4, 5, 6, 7, 8, 11].map((level) => `schema-${String(level).padStart(4, '0')}.sql`);
/** So many blows a round; then its folders are left to end. */
const mostBlows = 12;
/** Most lives end within this after the start, in the middle of asking, measuring and telling. */
const mostUpMs = 500;

interface Folder {
  readonly scene: Scene;
  readonly ledger: Ledger;
  readonly fixture: string;
  /** What an old database holds. */
  readonly before: readonly string[];
  isOver: boolean;
}

/** Kills daemons at random moments of all that they do, and looks at what they left each time. */
export async function killDaemons(options: KillOptions): Promise<KillFigures> {
  const home = await mkdtemp(join(tmpdir(), 'hilda-crash-'));
  const killer = new Killer(home, options);
  try {
    return await killer.run();
  } finally {
    killer.stop();
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  }
}

class Killer {
  readonly #home: string;
  readonly #options: Required<Omit<KillOptions, 'onRound' | 'keep'>> & KillOptions;
  readonly #rng: Rng;
  readonly #lives = new Lives();
  readonly #found = noFindings();
  readonly #differing: string[] = [];
  readonly #failures: string[] = [];
  readonly #killsByKind: Record<string, number> = {};
  /** What scenes come to without a kill. */
  readonly #unbroken = new Map<string, string>();
  #kills = 0;
  #blows = 0;
  #orphans = 0;
  #folders = 0;
  #startMs = 1000;

  constructor(home: string, options: KillOptions) {
    this.#home = home;
    this.#options = { kinds: defaultKinds, trials: 36, abreast: 4, ...options };
    this.#rng = Xoshiro128.fromSeed(options.seed);
  }

  async run(): Promise<KillFigures> {
    const { kills, onRound } = this.#options;
    while (this.#kills < kills) {
      await this.#round();
      onRound?.(this.#kills, this.#found);
    }
    const { lost, doubled, corrupt } = this.#found;
    return {
      kills: this.#kills,
      blows: this.#blows,
      killsByKind: this.#killsByKind,
      folders: this.#folders,
      lost: lost.length,
      doubled: doubled.length,
      corrupt: corrupt.length,
      orphans: this.#orphans,
      differing: this.#differing.length,
      failed: this.#failures.length,
      findings: [...lost, ...doubled, ...corrupt, ...this.#differing, ...this.#failures],
    };
  }

  stop(): void {
    this.#lives.stop();
  }

  /** A few folders, lived to their ends. */
  async #round(): Promise<void> {
    const { abreast, kills } = this.#options;
    const folders: Folder[] = [];
    while (folders.length < abreast) folders.push(await this.#folder());
    for (let blows = 0; folders.some(({ isOver }) => !isOver); blows++) {
      const left = folders.filter(({ isOver }) => !isOver);
      const isLeft = blows >= mostBlows || this.#kills >= kills;
      const { ends, wasKilled, orphans, startMs } = await this.#lives.live(
        left.map(({ scene }) => scene),
        isLeft ? null : this.#moment(),
      );
      this.#orphans += orphans;
      if (wasKilled) this.#blows++;
      if (startMs !== null) this.#startMs = startMs;
      for (const [i, folder] of left.entries()) {
        const { isOver, failure, told } = ends[i] as (typeof ends)[number];
        const { kind, sampler } = folder.scene;
        folder.isOver = isOver;
        if (failure !== null) this.#failures.push(`${kind} ${sampler}: ${failure}`);
        else if (!isOver) {
          this.#kills++;
          this.#killsByKind[kind] = (this.#killsByKind[kind] ?? 0) + 1;
        }
        const before = countOf(this.#found);
        folder.ledger.add(told, this.#found);
        await folder.ledger.check(this.#found);
        if (countOf(this.#found) > before) await this.#keep(folder);
      }
      // What ends by itself without a kill does so again.
      if (isLeft && ends.some(({ failure }) => failure !== null)) break;
    }
    for (const folder of folders) await this.#compare(folder);
  }

  async #folder(): Promise<Folder> {
    const { kinds } = this.#options;
    const kind = kinds[this.#folders % kinds.length] as SceneKind;
    const scene = this.#scene(`${this.#folders++}`, kind, pick(this.#rng, samplers), pick(this.#rng, seeds));
    await mkdir(scene.besides, { recursive: true });
    const fixture = pick(this.#rng, fixtures);
    if (kind === 'migration') await oldDatabase(scene.dataDir, fixture);
    const before = kind === 'migration' ? await namesIn(scene.dataDir) : [];
    const title = `folder ${this.#folders - 1}, ${kind} ${kind === 'migration' ? fixture : scene.sampler}`;
    const ledger = new Ledger(title, scene.dataDir, kind === 'migration');
    return { scene, ledger, fixture, before, isOver: false };
  }

  async #keep({ scene }: Folder): Promise<void> {
    const { keep } = this.#options;
    if (keep === undefined) return;
    const copy = join(keep, `${basename(scene.besides)}-after-${this.#kills}-kills`);
    await cp(scene.dataDir, copy, { recursive: true });
  }

  /** With an unbroken run, or with what an old database held. */
  async #compare({ scene, fixture, before, isOver }: Folder): Promise<void> {
    const { kind, sampler, seed, besides, dataDir } = scene;
    if (kind === 'migration') {
      const after = new Set(await namesIn(dataDir));
      for (const name of before) if (!after.has(name)) this.#found.lost.push(`${fixture}: ${name}`);
    } else if (isOver) {
      const [is, must] = [await outcomeOf(dataDir), await this.#expected(scene)];
      if (is !== must) this.#differing.push(`${kind} ${sampler} ${seed}: ${is}\nunbroken: ${must}`);
    }
    await rm(besides, { recursive: true, force: true, maxRetries: 3 });
  }

  async #expected({ kind, sampler, seed }: Scene): Promise<string> {
    const as = kind === 'backup' ? 'study' : kind;
    const name = as === 'study' ? `study ${sampler} ${seed}` : `${as} ${seed}`;
    const known = this.#unbroken.get(name);
    if (known !== undefined) return known;
    const scene = this.#scene(`unbroken ${name}`, as, sampler, seed);
    await mkdir(scene.besides, { recursive: true });
    const { ends } = await this.#lives.live([scene], null);
    const failure = ends[0]?.failure ?? null;
    if (failure !== null) this.#failures.push(`unbroken ${name}: ${failure}`);
    const outcome = await outcomeOf(scene.dataDir);
    this.#unbroken.set(name, outcome);
    return outcome;
  }

  #scene(folder: string, kind: SceneKind, sampler: string, seed: number): Scene {
    const besides = join(this.#home, folder);
    return { kind, sampler, seed, trials: this.#options.trials, besides, dataDir: join(besides, 'data') };
  }

  /** One blow in four falls while they start. */
  #moment(): { readonly after: 'order' | 'up'; readonly ms: number } {
    return this.#rng.next() < 0.25
      ? { after: 'order', ms: randomInt(this.#rng, Math.ceil(1.2 * this.#startMs)) }
      : { after: 'up', ms: randomInt(this.#rng, mostUpMs) };
  }
}
