import { resolve } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { backUp, restore } from '../../store/upkeep/backup.js';
import { checkData, type Finding } from '../../store/upkeep/check.js';
import type { CliContext } from '../context.js';
import { dataFolder } from '../state-folder.js';

interface Options {
  readonly data?: string;
}

export async function backUpData(context: CliContext, folder: string, { data }: Options): Promise<void> {
  const { env, clock } = context.terminal;
  const dataDir = dataFolder(data, env);
  const { files } = await backUp(dataDir, folder, clock.nowMs());
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const told = { folder: resolve(folder), dataDir, files: files.length, bytes };
  context.answer('backup', told, () => `${files.length} files, ${bytes} bytes, checked: ${told.folder}`);
}

export async function restoreData(context: CliContext, folder: string, { data }: Options): Promise<void> {
  const dataDir = dataFolder(data, context.terminal.env);
  const { files, takenAtMs } = await restore(folder, dataDir);
  const at = new Date(takenAtMs).toISOString();
  context.answer(
    'restore',
    { dataDir, files: files.length, takenAtMs },
    () => `${dataDir} is as it was at ${at}`,
  );
}

/** Throws STORE_CORRUPT, after the list, where something is damaged. */
export async function checkFolder(context: CliContext, { data }: Options): Promise<void> {
  const dataDir = dataFolder(data, context.terminal.env);
  const { findings, rows, blobs } = await checkData(dataDir);
  context.answerTable<Finding>(
    'check',
    { dataDir, findings, rows, blobs },
    [
      { title: 'WHERE', value: ({ where }) => where },
      { title: 'WHAT', value: ({ what }) => what },
    ],
    findings,
    `${rows} rows and ${blobs} blobs: all is well`,
  );
  if (findings.length === 0) return;
  throw new HildaError('STORE_CORRUPT', `${dataDir}: ${findings.length} findings`, {
    hint: 'Restore a backup, or upload damaged blobs again.',
    details: { findings: findings.length },
  });
}
