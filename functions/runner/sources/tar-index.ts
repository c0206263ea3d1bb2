import type { FileHandle } from 'node:fs/promises'
import { readExactly } from './pread.ts'
import { BLOCK, parseDecimal, parseHeader, parseLongName, parsePax, TarError, type TarHeader } from './tar-header.ts'

// Far more than any image archive has, and little enough to hold.
const MAX_MEMBERS = 200_000
const MAX_EXTENSION_BYTES = 1 << 20
const MAX_LINKS = 16

export interface Member {
  /** Where its bytes begin in the archive. */
  offset: number
  size: number
}

/** What counts where a name is both a file and a symbolic link: containerd's importer has it both ways, by the kind of archive. */
export type Order = 'files-first' | 'links-first'

/** All that comes under one name; of each kind the last one, as in an archive that is unpacked in order. */
interface Entry {
  file?: Member
  symlink?: string
  hardLink?: string
}

/**
 * What an archive holds, by name, found by hopping from header to header. Names are only ever compared with each other:
 * nothing in here opens a path that an archive names.
 */
export class TarIndex {
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #order: Order

  private constructor(entries: ReadonlyMap<string, Entry>, order: Order) {
    this.#entries = entries
    this.#order = order
  }

  /** Reads all headers. Throws TarError for an archive that is damaged or cut short. */
  static async read(file: FileHandle, order: Order = 'files-first'): Promise<TarIndex> {
    const { size } = await file.stat()
    const entries = new Map<string, Entry>()
    let members = 0
    for await (const { header, offset } of headers(file, size)) {
      if (++members > MAX_MEMBERS) throw new TarError(`has more than ${MAX_MEMBERS} members`)
      const name = normalize(header.name)
      if (name === undefined) continue
      const entry = entryOf(name, header, offset)
      if (entry !== undefined) entries.set(name, { ...entries.get(name), ...entry })
    }
    return new TarIndex(entries, order)
  }

  /**
   * The file of this name, through links within the archive; undefined where there is none. Of several files of one name
   * it is the last, as `ctr images import` has it. TarError for links in a circle.
   */
  find(path: string): Member | undefined {
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

async function* headers(file: FileHandle, size: number): AsyncGenerator<{ header: TarHeader; offset: number }> {
  let pax = new Map<string, string>()
  let longName: string | undefined
  let longLink: string | undefined
  for (let at = 0; at < size;) {
    const block = await readExactly(file, at, BLOCK)
    if (block.length < BLOCK) throw new TarError('ends in the middle of a header')
    const plain = parseHeader(block)
    if (plain === undefined) return
    const offset = at + BLOCK
    const extension = 'xgLK'.includes(plain.flag)
    const header = extension ? plain : extended(plain, pax, longName, longLink)
    const bytes = hasContent(header.flag) ? header.size : 0
    at = offset + Math.ceil(bytes / BLOCK) * BLOCK
    if (offset + bytes > size) throw new TarError(`ends in the middle of ${header.name}`)
    if (!extension) {
      yield { header, offset }
      pax = new Map()
      longName = longLink = undefined
      continue
    }
    if (bytes > MAX_EXTENSION_BYTES) throw new TarError(`has an extended header of ${bytes} bytes`)
    const data = await readExactly(file, offset, bytes)
    if (plain.flag === 'x') pax = parsePax(data)
    else if (plain.flag === 'L') longName = parseLongName(data)
    else if (plain.flag === 'K') longLink = parseLongName(data)
    // Global records ('g') carry no names or sizes in any archive of images.
    else if (['path', 'size', 'linkpath'].some((key) => parsePax(data).has(key))) {
      throw new TarError('gives all its members one name or size')
    }
  }
}

function extended(
  plain: TarHeader,
  pax: ReadonlyMap<string, string>,
  longName: string | undefined,
  longLink: string | undefined,
): TarHeader {
  const size = pax.get('size')
  const sparse = plain.flag === 'S' || [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))
  return {
    name: pax.get('path') ?? longName ?? plain.name,
    link: pax.get('linkpath') ?? longLink ?? plain.link,
    size: size === undefined ? plain.size : parseDecimal(size),
    flag: sparse ? 'S' : plain.flag,
  }
}

/** Whether bytes follow the header; links and devices carry a size at times, and nothing behind it. */
function hasContent(flag: string): boolean {
  return !'123456'.includes(flag)
}

/** Undefined for what is neither a file nor a link; that takes nothing away from what was there under its name. */
function entryOf(name: string, header: TarHeader, offset: number): Entry | undefined {
  switch (header.flag) {
    case '0':
    case '7':
      return { file: { offset, size: header.size } }
    case '1':
      return { hardLink: header.link }
    case '2':
      // From the directory that the link is in, wherever the archive is unpacked.
      return header.link.startsWith('/')
        ? undefined
        : { symlink: `${name.slice(0, name.lastIndexOf('/') + 1)}${header.link}` }
    case 'S':
      throw new TarError(`has ${name} as a sparse file`)
    default:
      return undefined
  }
}

/** A name without empty and dot parts; undefined for one that leads out of the archive. */
function normalize(name: string): string | undefined {
  if (name.startsWith('/')) return undefined
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '..' && parts.pop() === undefined) return undefined
    if (part !== '' && part !== '.' && part !== '..') parts.push(part)
  }
  return parts.length === 0 ? undefined : parts.join('/')
}
