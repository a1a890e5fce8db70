import { Option } from 'commander';

const listed = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** A package whose samplers and drivers are loaded; given again, another one. */
export const pluginOption = (): Option =>
  new Option(
    '--plugin <package>',
    'load an installed plug-in by its package name: its code runs here with your rights; may be given again',
  ).argParser(listed);

/** Where plug-ins are installed, beside `plugins` in the data folder. */
export const pluginFolderOption = (): Option =>
  new Option(
    '--plugin-folder <folder>',
    'a folder whose node_modules holds plug-ins, before `plugins` in the data folder; may be given again',
  ).argParser(listed);
