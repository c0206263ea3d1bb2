/** Bounds of what a layer may hold. They keep a hostile one from filling or blocking a node. */
import { LayercastError } from '../../errors.ts'
import type { TarHeader } from './tar-member.ts'

export interface Limits {
  /** Entries of the archive. */
  entries: number
  /** Bytes of the uncompressed archive, and of all its files together, holes included. */
  size: number
  /** Uncompressed bytes for each compressed one, asked only beyond `ratioFrom` uncompressed bytes. */
  ratio: number
  ratioFrom: number
}

const GIB = 2 ** 30

const DEFAULT_LIMITS: Limits = { entries: 10_000_000, size: 256 * GIB, ratio: 5000, ratioFrom: 4 * GIB }

/** Linux: the longest path that a call takes, without its NUL; the longest name; an attribute's longest name and value. */
const PATH = 4095
const NAME = 255
const XATTR_NAME = 255
const XATTR_VALUE = 65536

export function tooLarge(message: string, detail: Record<string, unknown>): LayercastError {
  return new LayercastError('LAYER_TOO_LARGE', message, {
    detail,
    fix: 'Do not use this image unless you trust it; containerd, which sets no limits, can apply it (--applier containerd).',
  })
}

export function unsafe(message: string, detail: Record<string, unknown> = {}): LayercastError {
  return new LayercastError('LAYER_UNSAFE', message, {
    detail,
    fix: 'Do not use this image: no tool makes such an entry by itself.',
  })
}

/** Counts what a layer holds, and throws LAYER_TOO_LARGE once it is more than allowed. */
export class Guard {
  readonly #limits: Limits
  #entries = 0
  #files = 0
  #compressed = 0
  #expanded = 0

  constructor(limits: Partial<Limits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
  }

  /** The most bytes that the archive may still expand to, for a decoder. */
  get size(): number {
    return this.#limits.size
  }

  compressed(bytes: number): void {
    this.#compressed += bytes
  }

  expanded(bytes: number): void {
    this.#expanded += bytes
    const { size, ratio, ratioFrom } = this.#limits
    if (this.#expanded > size) throw tooLarge(`the layer expands to more than ${size} bytes`, { size })
    if (this.#expanded > ratioFrom && this.#expanded > ratio * this.#compressed) {
      throw tooLarge(`the layer expands to more than ${ratio} times its compressed size`, { ratio })
    }
  }

  entry(header: TarHeader): void {
    const { entries, size } = this.#limits
    if (++this.#entries > entries) throw tooLarge(`the layer has more than ${entries} entries`, { entries })
    this.#files += header.size
    if (this.#files > size) throw tooLarge(`the layer's files come to more than ${size} bytes`, { size })
    for (const [name, value] of header.xattrs) {
      if (name.length > XATTR_NAME || value.length > XATTR_VALUE) {
        throw tooLarge('an extended attribute is longer than Linux allows', { name: name.slice(0, XATTR_NAME) })
      }
    }
  }
}

/**
 * The components of a path below the root: no empty ones, no `.`, and `..` resolved before any symbolic link is, as Go's
 * filepath.Clean does. `..` ends at the root, as it does at a file system's, and an absolute path counts from there: so do
 * containerd and umoci take `/../x`, and nothing that this gives leads out. Empty for the root itself. LAYER_UNSAFE when
 * it holds a NUL, or is longer than Linux takes.
 */
export function cleanPath(path: string, what: string): string[] {
  if (path.includes('\0')) throw unsafe(`the ${what} holds a NUL`)
  if (path.length > PATH) throw unsafe(`the ${what} has ${path.length} bytes, more than ${PATH}`)
  const clean: string[] = []
  for (const component of path.split('/')) {
    if (component === '' || component === '.') continue
    if (component === '..') clean.pop()
    else {
      if (component.length > NAME) throw unsafe(`the ${what} has a component of more than ${NAME} bytes`)
      clean.push(component)
    }
  }
  return clean
}
