import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';
import { trialNumber } from '../../trial-number.js';

export const searchExportCommand = (terminal: Terminal): Command =>
  new Command('export')
    .description(
      "a trial's sub-network as an ONNX file, its measured manifest and its ranges for boards beside it",
    )
    .argument('<study>', 'its id')
    .requiredOption('-t, --trial <number>', 'which trial, as numbered in the front', trialNumber)
    .requiredOption('-o, --out <file>', 'where the ONNX file goes; the manifest is named after it, .json')
    .option('--front-end', 'put the mel front end before the network, which then takes samples')
    .action(
      lazily(terminal, async () => (await import('../../actions/search/export.js')).searchExportAction),
    );
