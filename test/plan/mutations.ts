/** Every change of one field of a plan: another value, an empty one, none, one more. */

export interface Mutation {
  /** Where, and what became of it: `layers[1].labels["key"] = "x"`. */
  name: string
  /** The top-level field. */
  field: string
  value: unknown
}

type Path = readonly (string | number)[]

/** Other values of a field of this kind. Texts that stand for something are exchanged for others that could stand there. */
function others(path: Path, value: unknown): unknown[] {
  if (typeof value === 'number') return [value + 1, 0]
  if (typeof value !== 'string') return []
  const more: unknown[] = [`${value}x`, '']
  if (value.startsWith('sha256:')) more.push(`sha256:${'0'.repeat(64)}`)
  if (path.at(-1) === 'mediaType') {
    more.push(value.replace('gzip', 'zstd'), value.replace('+gzip', ''), 'application/vnd.erofs.layer.v1')
    more.push(value.replace('oci.image.manifest.v1+json', 'docker.distribution.manifest.v2+json'))
    more.push('application/vnd.docker.container.image.v1+json', 'application/octet-stream')
  }
  if (path.at(-1) === 'blob') more.push('required', 'fallback', 'none')
  if (path.at(-1) === 'architecture') more.push('arm64', '386')
  if (path.at(-1) === 'os') more.push('windows')
  if (path.at(-1) === 'profile') more.push('generic', 'nydus', 'stargz', 'soci', 'nosuch')
  return more.filter((other) => other !== value)
}

/** All changes of one field, at every depth. */
export function mutationsOf(document: unknown): Mutation[] {
  const found: Mutation[] = []
  const changed = (path: Path, how: string, edit: (parent: any, key: any) => void) => {
    const value: any = structuredClone(document)
    let parent = value
    for (const step of path.slice(0, -1)) parent = parent[step]
    edit(parent, path.at(-1))
    found.push({ name: `${path.join('.')} ${how}`, field: String(path[0]), value })
  }
  const visit = (path: Path, value: unknown) => {
    if (path.length > 0) {
      for (const other of others(path, value))
        changed(path, `= ${JSON.stringify(other)}`, (parent, key) => (parent[key] = other))
      changed(path, 'left out', (parent, key) => {
        if (Array.isArray(parent)) parent.splice(key, 1)
        else delete parent[key]
      })
    }
    if (Array.isArray(value)) {
      changed([...path, value.length], 'again', (parent) => parent.push(parent.at(-1) ?? 'x'))
      for (const [index, item] of value.entries()) visit([...path, index], item)
    } else if (typeof value === 'object' && value !== null) {
      changed([...path, 'containerd.io/snapshot/extra'], 'added', (parent, key) => (parent[key] = 'x'))
      for (const [key, item] of Object.entries(value)) visit([...path, key], item)
    }
  }
  visit([], document)
  return found
}
