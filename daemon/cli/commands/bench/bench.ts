import { Command, Option } from 'commander';
import { lazily, type Terminal } from '../../context.js';
import { reportFormats } from '../../report-formats.js';
import { wholeNumber } from '../../whole-number.js';

const actions = () => import('../../actions/bench/bench.js');

const importing = () => import('../../actions/bench/import.js');

const withGate = (command: Command): Command =>
  command
    .option('--strict', 'fail also where the intervals do not decide')
    .option('--gate-imported', 'fail also where the run is slower than imported figures')
    .option('--junit <file>', 'write the report as JUnit XML')
    .option('--markdown <file>', 'write the report as Markdown')
    .option('--csv <file>', 'write the report as CSV');

export const benchCommand = (terminal: Terminal): Command =>
  new Command('bench')
    .addCommand(
      withGate(
        new Command('run')
          .description(
            'run a suite; exit code 6 when a limit or the comparison breaks, 5 when measurements are missing',
          )
          .argument('<suite>', 'a YAML file: docs/benchmarks.md')
          .option('--compare <run>', 'an earlier run, `baseline`, or `last`')
          .option('--detach', 'do not wait for it'),
      ).action(lazily(terminal, async () => (await actions()).runAction)),
    )
    .addCommand(
      new Command('list')
        .description('runs of suites, newest first')
        .option('--suite <name>', 'only runs of this suite')
        .option('--limit <n>', 'at most so many', (text: string) => wholeNumber(text, 'limit', 1, 1000), 50)
        .action(lazily(terminal, async () => (await actions()).listAction)),
    )
    .addCommand(
      new Command('show')
        .description('what a run measured, and whether its limits are kept')
        .argument('<run>', 'its id')
        .action(lazily(terminal, async () => (await actions()).showAction)),
    )
    .addCommand(
      withGate(
        new Command('compare')
          .description('ratio with interval and verdict against an earlier run; exit code 6 when worse')
          .argument('<run>', 'its id')
          .argument('[earlier]', 'the run to compare with, `baseline` (the default), or `last`'),
      ).action(lazily(terminal, async () => (await actions()).compareAction)),
    )
    .addCommand(
      new Command('baseline')
        .description('hold later runs of the suite against this one')
        .argument('<run>', 'its id')
        .action(lazily(terminal, async () => (await actions()).baselineAction)),
    )
    .addCommand(
      new Command('history')
        .description('the series of each network and device of a run, and what changed in it')
        .argument('<run>', 'its id')
        .option('-m, --metric <name>', 'which metric', 'latencyUs')
        .action(lazily(terminal, async () => (await actions()).historyAction)),
    )
    .addCommand(
      new Command('export')
        .description('a report as a file')
        .argument('<run>', 'its id')
        .addOption(
          new Option('--format <format>', 'of the report').choices([...reportFormats]).default('json'),
        )
        .option('--compare <run>', 'an earlier run, `baseline`, or `last`')
        .option('-o, --out <file>', 'where it goes; the terminal where left out')
        .action(lazily(terminal, async () => (await actions()).exportAction)),
    )
    .addCommand(
      new Command('import')
        .description(
          'keep figures that others published, to hold runs beside them: a CSV table, or results of MLPerf Tiny',
        )
        .argument('<path>', 'a file, or a folder of a submission')
        .option('--device <name>', 'the device of a table that names none')
        .option('--suite <name>', 'what the run is called', 'imported')
        .action(lazily(terminal, async () => (await importing()).importAction)),
    )
    .addCommand(
      new Command('cancel')
        .description('end a run, with its jobs; what was measured stays')
        .argument('<run>', 'its id')
        .action(lazily(terminal, async () => (await actions()).cancelAction)),
    );
