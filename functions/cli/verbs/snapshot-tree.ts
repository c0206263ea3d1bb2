/** `layercast snapshot tree` */

import { age, bytes, printable } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import {
  chosenSnapshotters,
  listSnapshots,
  kindText,
  OPTIONAL_SNAPSHOTTER,
  type FoundSnapshot,
} from './shared/snapshots.ts'

interface TreeNode extends FoundSnapshot {
  children: TreeNode[]
}

export const snapshotTreeVerb = verb({
  path: ['snapshot', 'tree'],
  group: 'Look at a node',
  summary: 'show which snapshot stands on which',
  arguments: [],
  options: {
    snapshotter: OPTIONAL_SNAPSHOTTER,
    usage: { summary: 'ask what each takes on disk, which some snapshotters answer slowly' },
    labels: { summary: "show each snapshot's labels" },
  },
  examples: [
    { command: 'snapshot tree -s overlayfs', summary: 'the chains under overlayfs' },
    { command: 'snapshot tree -s nydus --labels', summary: 'with the labels that nydus was given' },
  ],
  async run(context, { options }) {
    const snapshotters = await chosenSnapshotters(await context.backend(), options.snapshotter)
    const found = await listSnapshots(context, snapshotters, options)
    const trees = snapshotters.map(({ name }) => ({
      snapshotter: name,
      roots: grow(found.filter(({ snapshotter }) => snapshotter === name)),
    }))
    await context.show(trees, () =>
      trees.map((tree) => `${tree.snapshotter}\n${draw(tree.roots, '', options)}`).join(''),
    )
  },
})

/** Snapshots below their parents. A snapshot whose parent is not there is a root, so that none is hidden. */
function grow(found: readonly FoundSnapshot[]): TreeNode[] {
  const nodes = new Map(found.map((snapshot): [string, TreeNode] => [snapshot.name, { ...snapshot, children: [] }]))
  const roots: TreeNode[] = []
  for (const node of nodes.values()) (nodes.get(node.parent)?.children ?? roots).push(node)
  return roots
}

function draw(nodes: readonly TreeNode[], indent: string, options: { labels: boolean }): string {
  return nodes
    .map((node, index) => {
      const last = index === nodes.length - 1
      const below = `${indent}${last ? '   ' : '│  '}`
      const size = node.usage ? `  ${bytes(node.usage.size)}` : ''
      const labels = options.labels
        ? Object.entries(node.labels).map(
            ([key, value]) => `${below}${node.children.length > 0 ? '│' : ' '}    ${printable(`${key}=${value}`)}\n`,
          )
        : []
      return [
        `${indent}${last ? '└─ ' : '├─ '}${printable(node.name)}  ${kindText(node)}${size}  ${age(node.createdAt)}\n`,
        ...labels,
        draw(node.children, below, options),
      ].join('')
    })
    .join('')
}
