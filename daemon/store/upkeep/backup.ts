import { copyFile, mkdir, readdir, readFile, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, relative, resolve } from 'node:path';
import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { fileSum } from '../file-sum.js';
import { mapStoreError } from '../map-errors.js';
import { readDatabase } from '../sqlite-engine.js';
import { writeWhole } from '../write-whole.js';
import { blobOf, type DataFile, databaseName, dataFiles, isKept } from './data-files.js';

const manifestName = 'backup.json';

const manifestSchema = z.object({
  format: z.literal('hilda-backup'),
  version: z.literal(1),
  takenAtMs: z.number(),
  files: z.array(
    z.object({
      path: z.string().refine((path) => !isAbsolute(path) && !normalize(path).startsWith('..')),
      bytes: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});
/** What a backup holds; it is written last, so that a folder without it is no whole backup. */
export type BackupManifest = z.infer<typeof manifestSchema>;

/**
 * Copies a data folder into a new one, beside a daemon that uses it: the database as it is at one moment, then the files,
 * which never change under their names. The copy is checked. Throws NOT_FOUND where there is no database, STATE_CONFLICT for
 * a target that holds something or lies in the data folder, STORE_CORRUPT where a blob or the copy is damaged, DISK_FULL.
 */
export async function backUp(dataDir: string, target: string, takenAtMs: number): Promise<BackupManifest> {
  await assertDatabase(dataDir);
  await assertOutside(dataDir, target);
  await assertFree(target);
  try {
    await mkdir(target, { recursive: true, mode: 0o700 });
    const copied = join(target, databaseName);
    const original = await readDatabase(join(dataDir, databaseName));
    try {
      await original.raw('VACUUM INTO ?', [copied]);
    } finally {
      await original.destroy();
    }
    const files: DataFile[] = [{ path: databaseName, ...(await fileSum(copied)) }];
    for (const path of await dataFiles(dataDir)) {
      const to = join(target, path);
      await mkdir(dirname(to), { recursive: true, mode: 0o700 });
      await copyFile(join(dataDir, path), to);
      const sum = await fileSum(to);
      const blob = blobOf(path);
      if (blob !== undefined && blob !== sum.sha256)
        throw new HildaError('STORE_CORRUPT', `the blob ${blob} of ${dataDir} is damaged`, {
          hint: 'Upload its content again, or move the file away; `hilda check` lists all that is damaged.',
        });
      files.push({ path, ...sum });
    }
    const manifest: BackupManifest = { format: 'hilda-backup', version: 1, takenAtMs, files };
    await writeWhole(join(target, manifestName), JSON.stringify(manifest, null, 1));
    await verifyBackup(target);
    return manifest;
  } catch (thrown) {
    throw mapStoreError(thrown, `backing ${dataDir} up`);
  }
}

/** Reads a backup whole. Throws NOT_FOUND where it is none, STORE_CORRUPT where a file is missing or differs. */
export async function verifyBackup(folder: string): Promise<BackupManifest> {
  const text = await readFile(join(folder, manifestName), 'utf8').catch((cause) => {
    throw new HildaError('NOT_FOUND', `${folder} is no whole backup: it has no ${manifestName}`, { cause });
  });
  const manifest = manifestSchema.safeParse(parsedOrNull(text)).data;
  if (!manifest) throw new HildaError('STORE_CORRUPT', `${folder}/${manifestName} is damaged`);
  const paths = manifest.files.map(({ path }) => path);
  // Nothing beside the database would be replayed into it, and nobody's token is brought along.
  const strange = paths.find((path) => path !== databaseName && !isKept(path));
  if (strange !== undefined || !paths.includes(databaseName) || new Set(paths).size < paths.length)
    throw new HildaError(
      'STORE_CORRUPT',
      `${folder}/${manifestName} names ${strange === undefined ? 'no database, or a file twice' : strange}, which no backup does`,
    );
  for (const { path, bytes, sha256 } of manifest.files) {
    const found = await fileSum(join(folder, path)).catch(() => null);
    if (found?.bytes !== bytes || found.sha256 !== sha256)
      throw new HildaError('STORE_CORRUPT', `${folder}/${path} is ${found ? 'damaged' : 'missing'}`);
  }
  const database = await readDatabase(join(folder, databaseName));
  try {
    const rows = await database.raw<{ integrity_check: string }[]>('PRAGMA integrity_check(3)');
    const wrong = rows.map((row) => row.integrity_check).filter((word) => word !== 'ok');
    if (wrong.length > 0)
      throw new HildaError('STORE_CORRUPT', `${folder}/${databaseName}: ${wrong.join('; ')}`);
  } finally {
    await database.destroy();
  }
  return manifest;
}

/**
 * Makes a data folder of a backup: whole or not at all. Throws what `verifyBackup` throws, and STATE_CONFLICT for a folder that
 * holds something, as that of a daemon that runs does.
 */
export async function restore(folder: string, dataDir: string): Promise<BackupManifest> {
  const manifest = await verifyBackup(folder);
  await assertFree(dataDir);
  const unready = `${dataDir.replace(/[/\\]+$/, '')}.restoring`;
  try {
    await rm(unready, { recursive: true, force: true });
    for (const { path, sha256 } of manifest.files) {
      const to = join(unready, path);
      await mkdir(dirname(to), { recursive: true, mode: 0o700 });
      await copyFile(join(folder, path), to);
      if ((await fileSum(to)).sha256 !== sha256)
        throw new HildaError('STORE_CORRUPT', `${folder}/${path} changed while it was restored`);
    }
    await rmdir(dataDir).catch(() => {});
    await rename(unready, dataDir);
  } catch (thrown) {
    await rm(unready, { recursive: true, force: true });
    throw mapStoreError(thrown, `restoring ${dataDir}`);
  }
  return manifest;
}

async function assertDatabase(dataDir: string): Promise<void> {
  const found = await stat(join(dataDir, databaseName)).catch(() => null);
  if (!found?.isFile())
    throw new HildaError('NOT_FOUND', `${dataDir} holds no data of hilda`, {
      hint: 'Name the folder with --data.',
    });
}

/** The next backup would copy this one too. */
async function assertOutside(dataDir: string, target: string): Promise<void> {
  const parent = await realpath(dirname(resolve(target))).catch(() => dirname(resolve(target)));
  const way = relative(await realpath(dataDir), join(parent, basename(resolve(target))));
  if (!way.startsWith('..') && !isAbsolute(way))
    throw new HildaError('STATE_CONFLICT', `${target} lies in the data folder itself`, {
      hint: 'Name a folder beside it.',
    });
}

async function assertFree(folder: string): Promise<void> {
  const held = await readdir(folder).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return [];
    throw mapStoreError(thrown, `looking at ${folder}`);
  });
  if (held.length > 0)
    throw new HildaError('STATE_CONFLICT', `${folder} is not empty`, {
      hint: 'Name a new folder, or move this one away.',
    });
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
