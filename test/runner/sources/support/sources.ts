import { LayercastError, type Code } from '../../../../functions/errors.ts'
import type { Descriptor } from '../../../../functions/image/descriptor.ts'
import { openSource } from '../../../../functions/runner/sources/open.ts'
import type { ImageSource } from '../../../../functions/runner/sources/source.ts'
import { digestOf, type BuiltImage } from '../../../support/images/image.ts'

/** Opens a source for as long as the work takes. */
export async function withSource<T>(spec: string, work: (source: ImageSource) => Promise<T>): Promise<T> {
  const source = await openSource(spec)
  try {
    return await work(source)
  } finally {
    await source.close()
  }
}

export async function readAll(
  source: ImageSource,
  descriptor: Descriptor,
  range?: { offset?: number; length?: number },
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source.read(descriptor, range)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** What is wrong with a source that should give exactly this image; empty when nothing is. */
export async function differences(source: ImageSource, image: BuiltImage): Promise<string[]> {
  const wrong: string[] = []
  if (source.target.digest !== image.manifest.digest) wrong.push(`target ${source.target.digest}`)
  for (const descriptor of [image.manifest, image.config, ...image.layers]) {
    if (!(await source.has(descriptor.digest))) wrong.push(`has not ${descriptor.digest}`)
    if (digestOf(await readAll(source, descriptor)) !== descriptor.digest) wrong.push(`reads ${descriptor.digest}`)
    const due = image.blobs.get(descriptor.digest)?.subarray(3, 10)
    const part = await readAll(source, descriptor, { offset: 3, length: 7 })
    if (due === undefined || !part.equals(due)) wrong.push(`part of ${descriptor.digest}`)
  }
  if (await source.has(digestOf('absent'))) wrong.push('has what is not there')
  return wrong
}

/** The code, message and fix with which it fails. */
export async function failure(
  work: Promise<unknown>,
): Promise<{ code: Code; message: string; fix: string | undefined }> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof LayercastError)) throw error
    const { code, message, fix } = error
    return { code, message, fix }
  }
  throw new Error('nothing failed')
}

/** Opens a source that cannot be opened. */
export const openFailure = (spec: string): ReturnType<typeof failure> =>
  failure(withSource(spec, async () => undefined))
