/** Reading a plan that a stranger made. */
import { readDescriptor } from '../image/descriptor.ts'
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import { byteLength, Field } from '../image/fields.ts'
import { parseJSON } from '../image/json.ts'
import { MAX_LABEL_BYTES } from '../image/label-names.ts'
import { MAX_LAYERS } from '../image/manifest.ts'
import { isConfig, isLayer, isManifest, isUntypedConfig } from '../image/media-type.ts'
import { normalizePlatform, readPlatform } from '../image/platform.ts'
import type { Platform } from '../image/platform.ts'
import { checkStoredName } from '../image/reference.ts'
import { canonicalize } from './canonical.ts'
import { chainOf } from './chain.ts'
import { diffLabels } from './diff.ts'
import { MAX_PLAN_BYTES, PLAN_SCHEMA, seal } from './document.ts'
import type { BlobNeed, Plan, Planned, PlanLayer } from './document.ts'
import { isSnapshotLabel, layerLabels } from './labels.ts'
import { isIdentifier, profileOf, withoutWritten } from './profiles.ts'

const BLOB_NEEDS: readonly string[] = ['required', 'fallback', 'none'] satisfies BlobNeed[]
/** All labels of one layer together, in bytes: what the annotations and the unpacker's own can come to. */
const MAX_LABELS_BYTES = 128 * 1024

/**
 * Reads a plan from bytes that nobody vouches for. What follows from other parts is computed again: the chain IDs, the
 * labels that say where a layer stands, CRI's labels. Labels outside containerd's snapshot space are refused, so that a
 * plan can set nothing else on a node; so are unknown fields, which a later schema would have and this one would lose.
 *
 * A plan is a value: bytes that differ in white space or order only are the same plan, and come back canonical, under the
 * digest of the canonical bytes. So a plan survives `jq .` and an editor's newline.
 *
 * Errors: PLAN_INVALID with the path of what is wrong, DIGEST_INVALID, REFERENCE_INVALID, DOCUMENT_TOO_LARGE, those of parseJSON.
 */
export function parsePlan(bytes: Uint8Array): Planned {
  const document = new Field(parseJSON(bytes, { what: 'plan', maxBytes: MAX_PLAN_BYTES }), 'plan', 'PLAN_INVALID')
  const schema = document.get('schema')
  if (schema.string() !== PLAN_SCHEMA)
    schema.fail(JSON.stringify(PLAN_SCHEMA), 'Use the layercast that made this plan.')
  document.only(...PLAN_FIELDS)
  for (const list of ['layers', 'requires', 'warnings']) {
    if (!document.get(list).present) document.get(list).fail('an array')
  }
  const layers = document.get('layers').items()
  if (layers.length > MAX_LAYERS) document.get('layers').fail(`an array of ${MAX_LAYERS} layers at most`)
  const plan: Plan = {
    schema: PLAN_SCHEMA,
    reference: readReference(document.get('reference')),
    snapshotter: readIdentifier(document.get('snapshotter')),
    profile: readIdentifier(document.get('profile')),
    platform: readNormalPlatform(document.get('platform')),
    manifest: readPlanDescriptor(document.get('manifest'), isManifest, 'that of an image manifest'),
    config: readPlanDescriptor(
      document.get('config'),
      layers.length > 0 ? (type) => isConfig(type) || isUntypedConfig(type) : undefined,
      'that of an image config',
    ),
    layers: layers.map(readLayer),
    chainID: readOptionalDigest(document.get('chainID')),
    requires: document
      .get('requires')
      .items()
      .map((label) => label.string()),
    warnings: document.get('warnings').items().map(readWarning),
  }
  checkChain(plan, document)
  checkLabels(plan, document)
  return seal(plan)
}

const PLAN_FIELDS = [
  'schema',
  'reference',
  'snapshotter',
  'profile',
  'platform',
  'manifest',
  'config',
  'layers',
  'chainID',
  'requires',
  'warnings',
] as const satisfies (keyof Plan)[]

function readReference(field: Field): string {
  // A name out of a node's store is taken to the letter, so it cannot be told from one that should have been normalised.
  return checkStoredName(field.string())
}

function readIdentifier(field: Field): string {
  const name = field.string()
  return isIdentifier(name) ? name : field.fail('a name of letters and digits with single ".", "_" or "-" between them')
}

function readNormalPlatform(field: Field): Platform {
  field.only('os', 'architecture', 'variant', 'os.version', 'os.features')
  const platform = readPlatform(field)
  const normal = normalizePlatform(platform)
  if (platform.architecture === '' || canonicalize(normal) !== canonicalize(platform)) {
    field.fail(`normalised: ${canonicalize(normal)}`)
  }
  return normal
}

function readPlanDescriptor(field: Field, is?: (mediaType: string) => boolean, due = ''): Descriptor {
  field.only('mediaType', 'digest', 'size')
  const descriptor = readDescriptor(field)
  if (is?.(descriptor.mediaType) === false) field.get('mediaType').fail(due)
  return descriptor
}

function readLayer(field: Field): PlanLayer {
  field.only('descriptor', 'diffID', 'chainID', 'parent', 'labels', 'blob')
  const descriptor = readDescriptor(field.get('descriptor').only('mediaType', 'digest', 'size', 'annotations'))
  if (!isLayer(descriptor.mediaType)) field.get('descriptor').get('mediaType').fail("a layer's that containerd unpacks")
  const blob = field.get('blob')
  if (!BLOB_NEEDS.includes(blob.string())) blob.fail(BLOB_NEEDS.join(', '))
  return {
    descriptor,
    diffID: field.get('diffID').digest(),
    chainID: field.get('chainID').digest(),
    parent: readOptionalDigest(field.get('parent')),
    labels: readLabels(field.get('labels')),
    blob: blob.string() as BlobNeed,
  }
}

function readLabels(field: Field): Record<string, string> {
  const labels = field.strings(MAX_LABELS_BYTES) ?? field.fail('an object of labels')
  for (const [key, value] of Object.entries(labels)) {
    const label = field.get(key)
    if (!isSnapshotLabel(key)) label.fail("left out: a plan sets labels of containerd's snapshots only")
    if (value === '') label.fail('left out: containerd stores no empty label')
    if (byteLength(key) + byteLength(value) > MAX_LABEL_BYTES)
      label.fail(`${MAX_LABEL_BYTES} bytes at most with its key`)
  }
  return labels
}

function readOptionalDigest(field: Field): Digest | '' {
  return field.string() === '' ? '' : field.digest()
}

function readWarning(field: Field): Plan['warnings'][number] {
  field.only('code', 'detail')
  return { code: field.get('code').string(), detail: field.get('detail').string() }
}

function checkChain(plan: Plan, document: Field): void {
  const chain = plan.layers.length === 0 ? [] : chainOf(plan.layers.map(({ diffID }) => diffID))
  const fields = document.get('layers').items()
  for (const [index, layer] of plan.layers.entries()) {
    expect(fields[index]?.get('chainID'), layer.chainID, chain[index])
    expect(fields[index]?.get('parent'), layer.parent, index === 0 ? '' : chain[index - 1])
  }
  expect(document.get('chainID'), plan.chainID, chain.at(-1) ?? '')
}

/**
 * Checks that the labels are those that the layers' annotations, the chain and the image give, with CRI's four labels on every
 * layer or on none. The plan is compared with the nearer of the two, and the first label that differs is the error.
 */
function checkLabels(plan: Plan, document: Field): void {
  const profile = profileOf(plan)
  const fields = document.get('layers').items()
  const due = (cri: boolean) =>
    plan.layers.map((layer, index) => {
      const children = plan.layers.slice(index).map(({ descriptor }) => descriptor)
      const image = cri ? { reference: plan.reference, manifest: plan.manifest, children } : undefined
      return layerLabels(withoutWritten(profile, layer.descriptor), layer, image)
    })
  const wrong = (labels: readonly Record<string, string>[]) =>
    labels.flatMap((of, index) => diffLabels(index, plan.layers[index]?.labels ?? {}, of))
  const [on, off] = [due(true), due(false)]
  const [wrongOn, wrongOff] = [wrong(on), wrong(off)]
  const [nearest, all] = wrongOff.length < wrongOn.length ? [wrongOff, off] : [wrongOn, on]
  for (const { layer: index } of nearest.slice(0, 1)) {
    const [actual, wanted] = [plan.layers[index ?? 0]?.labels ?? {}, all[index ?? 0] ?? {}]
    for (const key of new Set([...Object.keys(wanted), ...Object.keys(actual)])) {
      expect(fields[index ?? 0]?.get('labels').get(key), actual[key], wanted[key])
    }
  }
  for (const [index, layer] of plan.layers.entries()) {
    const missing = plan.requires.find((key) => layer.labels[key] === undefined)
    if (missing !== undefined) fields[index]?.get('labels').get(missing).fail('there: the plan requires it')
  }
}

function expect(field: Field | undefined, value: string | undefined, due: string | undefined): void {
  if (value !== due)
    field?.fail(due === undefined ? 'left out' : JSON.stringify(due), 'Make the plan again: it was altered.')
}
