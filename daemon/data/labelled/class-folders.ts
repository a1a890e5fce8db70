import { join } from 'node:path';
import { isFolder, listFiles, namesIn } from '../files.js';
import { invalid } from '../invalid.js';

export interface LabelledFile {
  readonly path: string;
  readonly label: number;
  /** Below the data set's folder, with `/`: the same wherever the folder lies. */
  readonly relative: string;
}

export interface ClassFolders {
  /** In the order of the labels: by code unit. */
  readonly classes: readonly string[];
  readonly train: readonly LabelledFile[];
  /** Undefined where the data set has no part of its own for it. */
  readonly validation: readonly LabelledFile[] | undefined;
}

const validationNames = ['val', 'validation', 'valid'];
/** Folders beside train/ that mark it as a part, not as a class. */
const partNames = ['train', 'test', ...validationNames];
const maxClasses = 256;

/**
 * Files of a data set with one folder a class, or with such folders in train/ and, if there is one, val/. Throws NOT_FOUND;
 * DATA_INVALID for a class without a file, a file beside the class folders, and classes of val/ that train/ lacks.
 */
export async function listClassFolders(folder: string, wanted: RegExp, what: string): Promise<ClassFolders> {
  const top = await foldersIn(folder, wanted);
  const parted = top.includes('train') && top.every((name) => partNames.includes(name));
  if (!parted) {
    const classes = checkedClasses(top, folder);
    return { classes, train: await filesOf(folder, '', classes, wanted, what), validation: undefined };
  }
  const classes = checkedClasses(await foldersIn(join(folder, 'train'), wanted), join(folder, 'train'));
  const train = await filesOf(folder, 'train', classes, wanted, what);
  const given = top.filter((name) => validationNames.includes(name));
  if (given.length > 1) throw invalid(`${folder} holds ${given.join(' and ')}: one validation part is taken`);
  const [name] = given;
  if (name === undefined) return { classes, train, validation: undefined };
  const others = await foldersIn(join(folder, name), wanted);
  const odd = others.find((one) => !classes.includes(one)) ?? classes.find((one) => !others.includes(one));
  if (odd !== undefined)
    throw invalid(`${folder}: train and ${name} hold different classes: "${odd}" is in one of them alone`);
  return { classes, train, validation: await filesOf(folder, name, classes, wanted, what) };
}

async function filesOf(
  folder: string,
  part: string,
  classes: readonly string[],
  wanted: RegExp,
  what: string,
): Promise<LabelledFile[]> {
  const files: LabelledFile[] = [];
  for (const [label, name] of classes.entries())
    for (const path of await listFiles(join(folder, part, name), wanted, what))
      files.push({ path, label, relative: path.slice(join(folder, '/').length).replaceAll('\\', '/') });
  return files;
}

async function foldersIn(folder: string, wanted: RegExp): Promise<string[]> {
  const found: string[] = [];
  for (const name of await namesIn(folder)) {
    if (name.startsWith('.')) continue;
    if (await isFolder(join(folder, name))) found.push(name);
    else if (wanted.test(name))
      throw invalid(`${join(folder, name)} lies beside the class folders`, {
        hint: 'Put each file into the folder of its class.',
      });
  }
  return found;
}

function checkedClasses(classes: readonly string[], folder: string): readonly string[] {
  if (classes.length < 2)
    throw invalid(`${folder} holds ${classes.length} class folders; two are needed at least`);
  if (classes.length > maxClasses)
    throw invalid(`training supports at most ${maxClasses} classes; ${folder} has ${classes.length}`);
  return classes;
}
