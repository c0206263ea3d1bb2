/** Where the blobs come from that an unpack needs and the content store lacks. */
export { createWays, type Ways } from './ways.ts'
export { UNCOMPRESSED_LABEL } from './blob.ts'
export type { BlobOrigin, BlobWays, Candidate, Placed, Provide } from './types.ts'
