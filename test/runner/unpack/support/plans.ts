import type { Planned } from '../../../../functions/plan/document.ts'
import { plan } from '../../../../functions/plan/plan.ts'
import type { BuiltImage } from '../../../support/images/image.ts'

export const REFERENCE = 'example.com/test:1'

/** The plan of a built image. */
export function planOf(
  image: BuiltImage,
  options: { snapshotter?: string; reference?: string; profile?: string; labels?: 'cri' | 'off' } = {},
): Planned {
  return plan({
    reference: REFERENCE,
    snapshotter: 'native',
    manifest: image.manifestBytes,
    config: image.configBytes,
    mediaType: image.manifest.mediaType,
    ...options,
  })
}
