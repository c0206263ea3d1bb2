import { mkdir, rm, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'

/**
 * Links the launcher into the checkout's own node_modules/.bin, so that `npx layercast` there is this checkout's program.
 * npm links a package's bin only where it is installed as a dependency; without the link npx would ask a registry.
 */
export async function linkBin(root: string): Promise<void> {
  const bin = join(root, 'node_modules', '.bin')
  const link = join(bin, 'layercast')
  await mkdir(bin, { recursive: true })
  await rm(link, { force: true })
  await symlink(relative(bin, join(root, 'functions', 'cli', 'layercast.sh')), link)
}
