import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Applier } from '../../../../functions/layer/apply/types.ts'
import { openEmbedded } from '../../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../../functions/node/ports.ts'
import type { BuiltImage } from '../../../support/images/image.ts'
import { intercept, wrap, type Around } from './intercept.ts'
import { store } from './stores.ts'

/** An embedded backend that holds an image, in a directory of its own. */
export interface Sandbox {
  root: string
  backend: Backend
  close(): Promise<void>
}

export async function sandbox(image: BuiltImage): Promise<Sandbox> {
  const root = await mkdtemp(join(tmpdir(), 'layercast-sandbox-'))
  const backend = await openEmbedded({ root })
  await store(backend, image)
  return {
    root,
    backend,
    close: async () => {
      await backend.close()
      await rm(root, { recursive: true })
    },
  }
}

/** The backend as it is, but with its calls watched, and an applier that needs no root: it says what is in the image. */
export function watched(
  backend: Backend,
  image: BuiltImage,
  around?: Around,
): { backend: Backend; applier: Applier; calls: string[] } {
  const calls: string[] = []
  const applier: Applier = {
    apply: async ({ digest }) => {
      const index = image.layers.findIndex((layer) => layer.digest === digest)
      const diffID = image.diffIDs[index]
      if (diffID === undefined) throw new Error(`${digest} is none of the image's`)
      return { diffID, size: image.tars[index]?.length ?? 0 }
    },
  }
  const noting: Around = async (call, goOn) => {
    calls.push(call.name)
    return around ? around(call, goOn) : goOn()
  }
  return { backend: intercept(backend, noting), applier: wrap('applier', applier, noting), calls }
}
