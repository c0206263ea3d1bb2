/** An image of this machine's own files. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { dir, file, type TarEntry } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'
import { files } from '../inputs.ts'

/** How many layers, and what each holds, in bytes. */
const LAYERS = 6
const LAYER_BYTES = 32_000_000
const LARGEST = 8_000_000

/** One layer of these files, which names every directory that it has, as builders write them. */
function layerOf(paths: readonly string[]): TarEntry[] {
  const directories = new Set<string>()
  for (const path of paths) {
    for (let at = dirname(path); at !== '/' && !directories.has(at); at = dirname(at)) directories.add(at)
  }
  return [
    ...[...directories].toSorted().map((path) => dir(path.slice(1), { mtime: 1_600_000_000 })),
    ...paths.map((path) => file(path.slice(1), readFileSync(path), { mtime: 1_600_000_000 })),
  ]
}

/** An image of the machine's own files, in layers of equal size. */
export function imageOfThisMachine(): BuiltImage {
  const layers: string[][] = Array.from({ length: LAYERS }, () => [])
  let total = 0
  for (const { path, size } of files()) {
    if (size > LARGEST) continue
    const layer = layers[Math.floor(total / LAYER_BYTES)]
    if (layer === undefined) break
    layer.push(path)
    total += size
  }
  return buildImage({ layers: layers.map(layerOf) })
}
