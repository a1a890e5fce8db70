/** States of what the store keeps, also for the help of commands, which loads no schemas. */
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export const campaignStates = ['running', 'done', 'failed', 'cancelled'] as const;
/** `open`: neither muted nor acknowledged. */
export const alertStates = ['open', 'acknowledged', 'muted'] as const;
export const deliveryStates = ['waiting', 'delivered', 'failed'] as const;
