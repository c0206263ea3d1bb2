/** What a tar archive of an image holds, by name. Headers are read as those of layers are (layer/read). */
import type { FileHandle } from 'node:fs/promises'
import { hasCode } from '../../errors.ts'
import { parsePax } from '../../layer/read/pax.ts'
import { BLOCK, isZero, readTarHeader } from '../../layer/read/tar-header.ts'
import { Extensions, hasData, isExtension, MAX_SPECIAL, paddingOf } from '../../layer/read/tar-member.ts'
import type { TarHeader } from '../../layer/read/tar-member.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { readAt } from './pread.ts'

// Far more than any image archive has, and few enough to keep in memory.
const MAX_MEMBERS = 200_000
const MAX_LINKS = 16

export interface IndexedMember {
  /** Where its bytes begin in the archive. */
  offset: number
  size: number
}

/** What is wrong with an archive, in words that follow the archive's name. */
export class TarError extends Error {
  override readonly name = 'TarError'
}

/** Which one counts where a name is both a file and a symbolic link. containerd's importer differs by the kind of archive. */
export type Order = 'files-first' | 'links-first'

/** The members of one name: the last one of each kind, as where an archive is unpacked in order. */
interface Entry {
  file?: IndexedMember
  symlink?: string
  hardLink?: string
}

/**
 * The members of an archive by name. Names are compared with each other only: nothing here opens a path that an archive
 * names.
 */
export class TarIndex {
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #order: Order

  private constructor(entries: ReadonlyMap<string, Entry>, order: Order) {
    this.#entries = entries
    this.#order = order
  }

  /** Reads all headers, and skips the data between them. TarError for an archive that is damaged or cut short. */
  static async read(file: FileHandle, order: Order = 'files-first'): Promise<TarIndex> {
    const { size } = await file.stat()
    const entries = new Map<string, Entry>()
    let members = 0
    for await (const { header, offset } of headers(file, size)) {
      if (++members > MAX_MEMBERS) throw new TarError(`has more than ${MAX_MEMBERS} members`)
      const name = normalize(fromByteString(header.name))
      if (name === undefined) continue
      const entry = entryOf(name, header, offset)
      if (entry !== undefined) entries.set(name, { ...entries.get(name), ...entry })
    }
    return new TarIndex(entries, order)
  }

  /**
   * The file of this name, also through links within the archive; undefined where there is none. Of several files of one name
   * it is the last, as for `ctr images import`. TarError for links in a circle.
   */
  find(path: string): IndexedMember | undefined {
    let name = normalize(path)
    for (let hops = 0; name !== undefined; hops++) {
      const entry = this.#entries.get(name)
      if (entry === undefined) return undefined
      const { file, symlink, hardLink } = entry
      if (file !== undefined && (symlink === undefined || this.#order === 'files-first')) return file
      if (hops >= MAX_LINKS) throw new TarError(`has links in a circle at ${path}`)
      name = normalize(symlink ?? hardLink ?? '')
    }
    return undefined
  }
}

interface Located {
  header: TarHeader
  offset: number
}

async function* headers(file: FileHandle, size: number): AsyncGenerator<Located> {
  const extensions = new Extensions()
  for (let at = 0; at < size;) {
    const block = await readAt(file, at, BLOCK)
    if (block.length < BLOCK) throw new TarError('ends in the middle of a header')
    if (isZero(block)) return
    const raw = parsed(() => readTarHeader(block))
    const offset = at + BLOCK
    const isSparse = [...extensions.pax.keys()].some((key) => key.startsWith('GNU.sparse.'))
    const header = isExtension(raw.type) ? { ...raw, xattrs: [] } : parsed(() => extensions.apply(raw))
    if (isSparse) header.type = 'S'
    const bytes = hasData(header.type) ? header.size : 0
    if (bytes < 0 || !Number.isSafeInteger(bytes)) throw new TarError(`has a member of the size ${bytes}`)
    at = offset + bytes + paddingOf(bytes)
    if (offset + bytes > size) throw new TarError(`ends in the middle of ${fromByteString(header.name)}`)
    if (isExtension(raw.type)) await extend(extensions, raw.type, file, offset, bytes)
    else yield { header, offset }
  }
}

async function extend(
  extensions: Extensions,
  type: string,
  file: FileHandle,
  offset: number,
  bytes: number,
): Promise<void> {
  if (bytes > MAX_SPECIAL) throw new TarError(`has an extended header of ${bytes} bytes`)
  const body = await readAt(file, offset, bytes)
  // Global records carry no names or sizes in any archive of images.
  if (type === 'g' && ['path', 'size', 'linkpath'].some((key) => parsed(() => parsePax(body)).has(key))) {
    throw new TarError('gives all its members one name or size')
  }
  parsed(() => extensions.add(type, body))
}

/** Throws a damaged header's error as TarError. */
function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw hasCode(error, 'LAYER_CORRUPT') ? new TarError(`is damaged: ${error.message}`, { cause: error }) : error
  }
}

/** Undefined for what is neither a file nor a link: such a member does not replace an earlier one of its name. */
function entryOf(name: string, header: TarHeader, offset: number): Entry | undefined {
  const link = fromByteString(header.link)
  switch (header.type) {
    case '0':
    case '7':
      return { file: { offset, size: header.size } }
    case '1':
      return { hardLink: link }
    case '2':
      // A relative target starts at the link's own directory; an absolute one leads out of the archive.
      return link.startsWith('/') ? undefined : { symlink: `${name.slice(0, name.lastIndexOf('/') + 1)}${link}` }
    case 'S':
      throw new TarError(`has ${name} as a sparse file`)
    default:
      return undefined
  }
}

/** The name without empty and dot parts; undefined where it leads out of the archive. */
function normalize(name: string): string | undefined {
  if (name.startsWith('/')) return undefined
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '..' && parts.pop() === undefined) return undefined
    if (part !== '' && part !== '.' && part !== '..') parts.push(part)
  }
  return parts.length === 0 ? undefined : parts.join('/')
}
