import { Option } from 'commander';

/** The data folder of commands that work on it without the daemon. */
export const dataOption = (): Option =>
  new Option('--data <folder>', 'the data folder (also HILDA_DATA; default $XDG_STATE_HOME/hilda)');
