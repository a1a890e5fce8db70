/** Also for the help of commands, which loads no writers. */
export const reportFormats = ['junit', 'markdown', 'csv', 'json'] as const;
export type ReportFormat = (typeof reportFormats)[number];
