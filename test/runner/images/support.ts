import type { Backend } from '../../../functions/node/ports.ts'
import { importImage, type ImportEvent } from '../../../functions/runner/images/import.ts'
import { inspecting, type InspectOptions, type SourceImage } from '../../../functions/runner/images/inspect.ts'
import type { NamedImage } from '../../../functions/runner/images/named-image.ts'
import { openSource } from '../../../functions/runner/sources/open.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'

/** An image of one platform, whose only file says which. */
export const imageOn = (architecture: string, variant?: string): BuiltImage =>
  buildImage({
    layers: [[file('for', architecture + (variant ?? ''))]],
    platform: { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) },
  })

/** Opens a source for one look at its image, and for the work with what was seen. */
async function withImage<T>(
  spec: string,
  options: InspectOptions,
  work: (from: SourceImage) => Promise<T>,
): Promise<T> {
  const source = await openSource(spec)
  try {
    return await work(await inspecting(source)(options))
  } finally {
    await source.close()
  }
}

/** The image of a source, and nothing is imported. */
export async function inspectSource(spec: string, options: InspectOptions = {}): Promise<NamedImage> {
  return await withImage(spec, options, async ({ image }) => image)
}

/** Imports the image of a source. */
export async function importSource(
  backend: Backend,
  spec: string,
  options: InspectOptions & { signal?: AbortSignal; onEvent?: (event: ImportEvent) => void } = {},
): Promise<NamedImage> {
  const { signal = new AbortController().signal, onEvent } = options
  return await withImage(spec, options, async (from) => {
    await importImage({ backend, from, signal, onEvent })
    return from.image
  })
}
