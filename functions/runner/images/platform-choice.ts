/** Which of an image's platforms is wanted. */
import { hasCode } from '../../errors.ts'
import { parsePlatform, preferFeatures, type Platform } from '../../image/platform.ts'
import type { Documents } from '../content/documents.ts'
import { hostPlatform } from './host-platform.ts'

export interface PlatformChoice {
  /** The machine's own where absent. */
  platform?: Platform | string | undefined
  /**
   * OS features whose images are preferred where the platform is the machine's own: what the snapshotter takes best, such as
   * `erofs`. An image that is not there for them is taken without.
   */
  features?: readonly string[] | undefined
}

/** PLATFORM_INVALID. */
export function platformOf({ platform }: PlatformChoice): Platform {
  if (platform === undefined) return hostPlatform()
  return typeof platform === 'string' ? parsePlatform(platform) : platform
}

/** Reads for the platform with the preferred features; without them where the blobs of that image are not there. */
export async function readPreferred(
  choice: PlatformChoice,
  read: (platform: Platform) => Promise<Documents>,
): Promise<Documents> {
  const platform = platformOf(choice)
  const first = choice.platform === undefined ? preferFeatures(platform, choice.features ?? []) : platform
  if (first === platform) return await read(platform)
  try {
    return await read(first)
  } catch (error) {
    // A pull fetches only the manifest that it chose, and the index names the others all the same.
    if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error
    return await read(platform)
  }
}
