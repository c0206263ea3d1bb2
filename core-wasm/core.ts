/** What other rooms import of the core: hashing, chain IDs and decompression, the same in Node and in workerd. */
export { chainIDs } from './chain.ts'
export { gunzip, unzstd, type Decoder } from './decoder.ts'
export { decompress } from './decompress.ts'
export { diffID } from './diff-id.ts'
export { CoreError, type CoreCode } from './errors.ts'
export { hashHex, sha256, Sha256, sha256Each, type Engine } from './hash.ts'
