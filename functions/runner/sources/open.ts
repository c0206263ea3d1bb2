/** Where images come from that are not in a node's stores: layouts, archives and registries. */
import type { Backend } from '../../node/ports.ts'
import { openArchive } from './archive.ts'
import { openDirectory } from './directory.ts'
import { openDockerArchive } from './docker-archive.ts'
import type { Files } from './files.ts'
import { openLayout } from './oci-layout.ts'
import { hostRootsOf } from './registry/hosts.ts'
import { openRegistry } from './registry/open-registry.ts'
import type { ImageSource } from './source.ts'
import { parseSpec, type Choice } from './spec.ts'

/**
 * Opens one image of a source, as skopeo spells it: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
 * `docker-archive:FILE[:NAME]`, `docker://NAME`. Close it when done.
 * @param options.hostRoots where hosts.toml files are; those of the backend's daemon, or of this node's, where it is left out
 *
 * Errors: SOURCE_INVALID, FILE_NOT_FOUND, IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE, REGISTRY_FAILED, REFERENCE_INVALID, and
 * those of the document parsers.
 */
export async function openSource(
  spec: string,
  options: { hostRoots?: readonly string[]; backend?: Backend } = {},
): Promise<ImageSource> {
  const parsed = parseSpec(spec)
  switch (parsed.kind) {
    case 'docker':
      return openRegistry(spec, parsed.reference, options.hostRoots ?? (await hostRootsOf(options.backend)))
    case 'oci':
      return within(await openDirectory(parsed.path), spec, parsed.choice, openLayout)
    case 'oci-archive':
      return within(await openArchive(parsed.path), spec, parsed.choice, openLayout)
    case 'docker-archive':
      return within(await openArchive(parsed.path, 'links-first'), spec, parsed.choice, openDockerArchive)
  }
}

/** The files are the source's own from here on: closed with it, or now when it does not come about. */
async function within(
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
