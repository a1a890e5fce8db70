/** Spaces whose tables people bring; what each reads is in `publishedSpaces`. */
export const publishedSpaceNames = ['nb201', 'ofa-mobilenet-v3'] as const;

export type PublishedSpaceName = (typeof publishedSpaceNames)[number];
