export {
  formatBytes,
  formatCount,
  formatDuration,
  formatInterval,
  formatLatency,
  formatMetric,
} from '../../daemon/cli/format.js';

export const formatDate = (ms: number): string =>
  new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
