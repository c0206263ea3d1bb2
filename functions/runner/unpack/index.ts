/** The unpack: a plan carried out on a node, or tried dry. */
export { unpack } from './unpack.ts'
export { dryRun } from './dry-run.ts'
export type { DryRun, DryRunLayer } from './dry-run.ts'
export type { BlobOrigin, BlobWays } from '../blobs/types.ts'
export type { ApplierChoice, LayerState, UnpackEvent, UnpackResult } from './types.ts'
