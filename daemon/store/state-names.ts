/** States of what the store keeps, also for the help of commands, which loads no schemas. */
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export const campaignStates = ['running', 'done', 'failed', 'cancelled'] as const;
/** `open`: neither muted nor acknowledged. */
export const alertStates = ['open', 'acknowledged', 'muted'] as const;
export const deliveryStates = ['waiting', 'delivered', 'failed'] as const;
/** `checking`: whether the network fits each device. `stopped`: too many devices failed. The last three have ended. */
export const rolloutStates = [
  'checking',
  'running',
  'paused',
  'stopped',
  'aborting',
  'aborted',
  'refused',
  'done',
] as const;
/** `restored`: it runs what it ran before. `failed`: it could not be put back. */
export const rolloutSteps = [
  'planned',
  'deploying',
  'testing',
  'measuring',
  'live',
  'rolling-back',
  'restored',
  'failed',
] as const;
