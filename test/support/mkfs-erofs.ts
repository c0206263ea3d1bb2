/** Whether the machine has mkfs.erofs. */
import { access } from 'node:fs/promises'

/** Whether this machine can make erofs images, without which containerd has no erofs snapshotter. */
export const hasMkfsErofs = await access('/usr/bin/mkfs.erofs').then(
  () => true,
  () => false,
)
