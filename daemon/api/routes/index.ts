import type { Route } from '../route.js';
import { accessRoutes } from './access.js';
import { alertRoutes } from './alerts.js';
import { benchmarkRoutes } from './benchmarks.js';
import { blobRoutes } from './blobs.js';
import { campaignRoutes } from './campaigns.js';
import { deploymentRoutes } from './deployments.js';
import { deviceRoutes } from './devices.js';
import { historyRoutes } from './history.js';
import { jobRoutes } from './jobs.js';
import { joiningRoutes } from './joining.js';
import { journalRoutes } from './journals.js';
import { leaseRoutes } from './leases.js';
import { measurementRoutes } from './measurements.js';
import { outsideRoutes } from './outside.js';
import { predictorRoutes } from './predictors.js';
import { retentionRoutes } from './retention.js';
import { rolloutRoutes } from './rollouts.js';
import { scheduleRoutes } from './schedules.js';
import { specialisationRoutes } from './specialisations.js';
import { studyRoutes } from './studies.js';
import { systemRoutes } from './system.js';
import { trialRoutes } from './trials.js';
import { webhookRoutes } from './webhooks.js';

/** Every operation under /v1, in the order in which the documentation lists them. */
export const routes: readonly Route[] = [
  ...systemRoutes,
  ...deviceRoutes,
  ...joiningRoutes,
  ...measurementRoutes,
  ...historyRoutes,
  ...alertRoutes,
  ...webhookRoutes,
  ...jobRoutes,
  ...campaignRoutes,
  ...benchmarkRoutes,
  ...journalRoutes,
  ...scheduleRoutes,
  ...leaseRoutes,
  ...blobRoutes,
  ...deploymentRoutes,
  ...rolloutRoutes,
  ...studyRoutes,
  ...trialRoutes,
  ...outsideRoutes,
  ...specialisationRoutes,
  ...predictorRoutes,
  ...accessRoutes,
  ...retentionRoutes,
];
