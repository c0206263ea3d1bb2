import type { BlobOrigin } from './types.ts'

/** An origin in words: `here`, `stand-in DIGEST`, `source SPEC`, `snapshotter NAME`. */
export function originText(origin: BlobOrigin): string {
  switch (origin.from) {
    case 'here':
      return 'here'
    case 'stand-in':
      return `stand-in ${origin.digest}`
    case 'source':
      return `source ${origin.spec}`
    case 'provided':
      return 'provided'
    case 'snapshotter':
      return `snapshotter ${origin.name}`
  }
}
