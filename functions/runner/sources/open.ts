/** Where images come from that are not in a node's stores: layouts, archives and registries. */
import type { Backend } from '../../node/ports.ts'
import { openArchive } from './archive.ts'
import { openDirectory } from './directory.ts'
import { openDockerArchive } from './docker-archive.ts'
import type { Files } from './files.ts'
import { openLayout } from './oci-layout.ts'
import { hostRootsOf } from './registry/host-roots.ts'
import { openRegistry } from './registry/open-registry.ts'
import type { ImageSource } from './source.ts'
import { parseSpec, type Choice } from './spec.ts'

/**
 * Opens one image of a source, as skopeo spells it: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`,
 * `docker://NAME`. Nothing of it is changed. Close it when done.
 *
 * Errors: SOURCE_INVALID, FILE_NOT_FOUND, IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE, REGISTRY_FAILED, REFERENCE_INVALID,
 * NODE_CONFIG_INVALID, and those of the document parsers.
 * @param backend whose daemon's configuration says where hosts.toml files are; the default one's where absent
 */
export async function openSource(spec: string, backend?: Backend): Promise<ImageSource> {
  const parsed = parseSpec(spec)
  switch (parsed.kind) {
    case 'docker':
      return openRegistry(spec, parsed.reference, await hostRootsOf(backend))
    case 'oci':
      return imageIn(await openDirectory(parsed.path), spec, parsed.choice, openLayout)
    case 'oci-archive':
      return imageIn(await openArchive(parsed.path), spec, parsed.choice, openLayout)
    case 'docker-archive':
      return imageIn(await openArchive(parsed.path, 'links-first'), spec, parsed.choice, openDockerArchive)
  }
}

/** From here on the image closes the files: with itself, or now where it cannot be opened. */
async function imageIn(
  files: Files,
  spec: string,
  choice: Choice,
  open: (spec: string, files: Files, choice: Choice) => Promise<ImageSource>,
): Promise<ImageSource> {
  try {
    return await open(spec, files, choice)
  } catch (error) {
    await files.close()
    throw error
  }
}
