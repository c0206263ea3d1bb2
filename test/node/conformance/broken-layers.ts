/** Layers that no applier may take, by what is wrong with them. */
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import type { Code } from '../../../functions/errors.ts'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { file, hardlink } from '../../support/images/entries.ts'
import { digestOf } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'

const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd'
const TAR = 'application/vnd.oci.image.layer.v1.tar'

const tar = writeTar([file('a', Buffer.from(Array.from({ length: 9000 }, (_, n) => (n * n) >> 3))), file('b', '2')])
const gzip = gzipSync(tar)
const zstd = zstdCompressSync(tar, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
/** A frame (RFC 8878, section 3.1.1.1) that asks for dictionary 7, with one empty block. */
const WITH_DICTIONARY = Buffer.from('28b52ffd010007010000', 'hex')

/** The bytes with one bit turned over, at this distance from the end. */
function flipped(bytes: Uint8Array, fromEnd: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const at = copy.length - fromEnd
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

const LAYERS: [title: string, code: Code, mediaType: string, blob: Uint8Array][] = [
  ['gzip that is cut short', 'LAYER_CORRUPT', GZIP, gzip.subarray(0, -100)],
  [
    'gzip that is damaged',
    'LAYER_CORRUPT',
    GZIP,
    Buffer.concat([gzip.subarray(0, 60), Buffer.alloc(60, 0xff), gzip.subarray(120)]),
  ],
  ['gzip with a wrong checksum', 'LAYER_CORRUPT', GZIP, flipped(gzip, 6)],
  ['gzip with a wrong length', 'LAYER_CORRUPT', GZIP, flipped(gzip, 2)],
  ['zstd that is cut short', 'LAYER_CORRUPT', ZSTD, zstd.subarray(0, -100)],
  ['zstd with a wrong checksum', 'LAYER_CORRUPT', ZSTD, flipped(zstd, 1)],
  ['zstd with garbage after it', 'LAYER_CORRUPT', ZSTD, Buffer.concat([zstd, Buffer.from('garbage, not a frame')])],
  ['zstd that needs a dictionary', 'LAYER_UNSUPPORTED', ZSTD, WITH_DICTIONARY],
  ['an archive that is cut short', 'LAYER_CORRUPT', TAR, tar.subarray(0, 5000)],
  ['an archive with a damaged header', 'LAYER_CORRUPT', TAR, flipped(tar, tar.length - 100)],
  ['a hard link to what is not there', 'LAYER_CORRUPT', TAR, writeTar([hardlink('link', 'nowhere')])],
]

/** Each with the code of its refusal. */
export const BROKEN = LAYERS.map(([title, code, mediaType, blob]) => {
  const layer: Descriptor = { mediaType, digest: digestOf(blob), size: blob.length }
  return { title, code, layer, blob }
})
