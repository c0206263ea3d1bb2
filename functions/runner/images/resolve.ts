/** What the command line imports until it hands the open source from one step to the next. */
import type { Backend } from '../../node/ports.ts'
import { openSource } from '../sources/open.ts'
import { isSpec } from '../sources/spec.ts'
import { findImage, type FindOptions } from './find.ts'
import { importImage, type ImportEvent } from './import.ts'
import { inspecting, type InspectOptions } from './inspect.ts'
import type { NamedImage } from './named-image.ts'

export { isSpec } from '../sources/spec.ts'
export type { NamedImage as NodeImage } from './named-image.ts'

type Options = FindOptions & InspectOptions & { onEvent?: (event: ImportEvent) => void }

export async function resolve(backend: Backend, image: string, options: Options = {}): Promise<NamedImage> {
  if (!isSpec(image)) return await findImage(backend, image, options)
  const { signal = new AbortController().signal, onEvent } = options
  const source = await openSource(image, { backend })
  try {
    const from = await inspecting(source)(options)
    await importImage({ backend, from, signal, onEvent })
    return from.image
  } finally {
    await source.close()
  }
}

export async function inspect(spec: string, options: Options = {}): Promise<NamedImage> {
  const source = await openSource(spec)
  try {
    return (await inspecting(source)(options)).image
  } finally {
    await source.close()
  }
}
