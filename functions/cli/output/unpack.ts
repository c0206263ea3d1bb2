/** What an unpack did, or would do, as a person reads it. */

import type { Digest } from '../../image/digest.ts'
import type { Planned } from '../../plan/document.ts'
import { originText, type BlobOrigin } from '../../runner/blobs/origin.ts'
import type { DryRun, DryRunLayer } from '../../runner/unpack/dry-run.ts'
import type { LayerState, UnpackResult } from '../../runner/unpack/types.ts'
import { fields, table } from '../program/table.ts'
import { count, duration, shortDigest, lazyText } from '../program/text.ts'
import { labelKeys, LAYER_COLUMNS, warningText } from './plan.ts'

/** What a dry run found. */
export interface DryRunReport extends DryRun {
  /** Blobs that an unpack would import first. */
  toImport: readonly Digest[]
}

const STATES: Readonly<Record<LayerState, string>> = {
  exists: 'was there',
  taken: 'made by others meanwhile, or taken by the snapshotter',
  applied: 'unpacked',
  staged: 'was staged',
}

/** Each layer with its state and the time it took, then the whole chain. */
export function unpackText({ plan }: Planned, result: UnpackResult): string {
  const rows = plan.layers.map((layer, index) => ({ ...layer, result: result.layers[index] }))
  // Nearly always all blobs are on the node, and the column is left out.
  const elsewhere = result.layers.some(({ blob }) => blob !== undefined && blob.from !== 'here')
  const layers = table(rows, [
    ...LAYER_COLUMNS,
    { title: 'LABELS', value: ({ labels }) => labelKeys(labels) },
    { title: 'STATE', value: ({ result: done }) => (done ? STATES[done.state] : '') },
    ...(elsewhere ? [{ title: 'BLOB', value: ({ result: done }: (typeof rows)[number]) => originOf(done?.blob) }] : []),
    { title: 'TIME', value: ({ result: done }) => (done && done.ms > 0 ? duration(done.ms) : ''), align: 'right' },
  ])
  const end = fields([
    ['image', plan.reference],
    ['snapshotter', plan.snapshotter],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['lazy', lazyText(result.lazy)],
    ['done', result.ready ? 'it was ready before' : `${count(plan.layers.length, 'layer')} in ${duration(result.ms)}`],
  ])
  return `${plan.layers.length > 0 ? `${layers}\n` : ''}${end}${warningText(result.warnings)}`
}

/** Each layer with what is there of it and what an unpack would do, then the whole chain. */
export function dryRunText({ plan }: Planned, found: DryRunReport): string {
  const rows = plan.layers.map((layer, index) => ({ ...layer, found: found.layers[index] }))
  const layers = table(rows, [
    ...LAYER_COLUMNS,
    { title: 'BLOB', value: (row) => (row.found ? blobText(row.found, found) : '') },
    { title: 'SNAPSHOT', value: (row) => row.found?.snapshot ?? '' },
    { title: 'WOULD BE', value: (row) => (row.found ? actionText(row.found) : '') },
  ])
  const todo = found.layers.filter(({ snapshot }) => snapshot === 'missing').length
  const end = fields([
    ['image', plan.reference],
    ['snapshotter', plan.snapshotter],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['would do', found.ready ? 'nothing: it is ready' : wouldDo(todo, plan.layers.length, found.config.gcLabel)],
  ])
  return `${plan.layers.length > 0 ? `${layers}\n` : ''}${end}${warningText(plan.warnings)}`
}

function blobText({ blob, digest }: DryRunLayer, { toImport }: DryRunReport): string {
  if (blob.there) return 'there'
  if (toImport.includes(digest)) return 'to import'
  if (blob.origin !== undefined) return originOf(blob.origin)
  return blob.need === 'required' ? 'missing' : 'not there'
}

function originOf(origin: BlobOrigin | undefined): string {
  if (origin === undefined) return ''
  return origin.from === 'stand-in' ? `stand-in ${shortDigest(origin.digest)}` : originText(origin)
}

function actionText({ snapshot, blob }: DryRunLayer): string {
  if (snapshot === 'exists') return 'kept'
  if (snapshot === 'differs') return 'kept, with the labels that it has'
  return blob.need === 'required' ? 'unpacked' : 'offered to the snapshotter'
}

function wouldDo(todo: number, layers: number, labelled: boolean): string {
  const parts = [
    ...(todo > 0 ? [`prepare ${todo} of ${count(layers, 'layer')}`] : []),
    ...(labelled ? [] : ['label the config, which keeps the chain from the garbage collector']),
  ]
  return parts.join('; ')
}
