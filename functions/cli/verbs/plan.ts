/** `layercast plan` */

import { planText } from '../output/plan.ts'
import { write } from '../program/console.ts'
import type { Context } from '../program/context.ts'
import { readInput } from '../program/files.ts'
import { usage } from '../program/usage.ts'
import { verb } from '../program/verb.ts'
import { clientOf } from './shared/api-client.ts'
import { lookUp } from './shared/image.ts'
import {
  CONTAINERD_CONFIG,
  IMAGE,
  LABELS,
  ONE_RUNTIME_HANDLER,
  PLATFORM,
  PROFILE,
  REFERENCE,
  SERVER,
  SNAPSHOTTER_OR_HANDLER,
  TOKEN,
} from './shared/options.ts'
import { planHere, plannerInput, planShape, type PlanFlags, type PlannerInput } from './shared/plan-input.ts'
import { oneSnapshotter } from './shared/runtime-handlers.ts'

export const planVerb = verb({
  path: ['plan'],
  group: 'Make images ready',
  summary: 'print what there is to do to make an image ready under a snapshotter',
  description:
    "With -o json it prints the plan's canonical bytes and nothing else: their sha256 is the plan's name. " +
    'They are the same from an image on the node, from files, and from a server.',
  arguments: [{ ...IMAGE, optional: true }],
  options: {
    snapshotter: SNAPSHOTTER_OR_HANDLER,
    runtimeHandler: ONE_RUNTIME_HANDLER,
    containerdConfig: CONTAINERD_CONFIG,
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
    manifest: { value: 'FILE', summary: 'the manifest, in place of IMAGE; - for stdin' },
    config: { value: 'FILE', summary: 'the config that the manifest names; - for stdin' },
    server: { value: SERVER.value, summary: 'let this server plan, from the documents that are found here' },
    token: { ...TOKEN, summary: 'for a server whose planner is not open: a token, or @FILE to read it from a file' },
  },
  examples: [
    { command: 'plan nginx:1.29 --snapshotter nydus', summary: 'an image that the node has' },
    { command: 'plan nginx:1.29 -s nydus -o json | sha256sum', summary: "the plan's digest" },
    { command: 'plan nginx:1.29 --runtime-handler kata', summary: 'for what pods of a runtime class use' },
    {
      command: 'plan --manifest m.json --config c.json --reference docker.io/library/nginx:1.29 -s stargz -o json',
      summary: 'with no node and no server',
    },
    { command: 'plan oci:./image -s erofs --server http://127.0.0.1:8787', summary: 'made by a server' },
  ],
  async run(context, { args, options }) {
    const input = await documentsFrom(
      context,
      { image: args.IMAGE, manifest: options.manifest, config: options.config },
      { ...options, snapshotter: await oneSnapshotter(context, options) },
    )
    const { server } = options
    const planned =
      server === undefined ? await planHere(input) : await (await clientOf(context, { ...options, server })).plan(input)
    if (!context.json) return context.show(undefined, () => planText(planned))
    await write(context.streams.stdout, planned.bytes)
    if (context.streams.stdout.isTTY) await write(context.streams.stdout, '\n')
  },
})

/** The image's documents, from an image that is named or from files, with what else its plan depends on. */
async function documentsFrom(
  context: Context,
  from: { image: string | undefined; manifest: string | undefined; config: string | undefined },
  options: PlanFlags,
): Promise<PlannerInput> {
  if (from.image !== undefined) {
    if (from.manifest !== undefined || from.config !== undefined) {
      throw usage('IMAGE is given, and --manifest or --config too', 'Give the one or the other.')
    }
    return await plannerInput(await lookUp(context, from.image, options), options)
  }
  if (from.manifest === undefined || from.config === undefined) throw fileMissing(from)
  if (from.manifest === '-' && from.config === '-') {
    throw usage('--manifest and --config are both stdin', 'Give one of them as a file.')
  }
  if (options.reference === undefined) {
    throw usage(
      '--reference is not given',
      "Give --reference NAME, the image's name: the labels carry it, and files do not.",
    )
  }
  const manifest = await readInput(context, from.manifest)
  const config = await readInput(context, from.config)
  return { reference: options.reference, manifest, config, ...planShape(options) }
}

function fileMissing({ manifest, config }: { manifest: string | undefined; config: string | undefined }) {
  const [given, other] = manifest === undefined ? ['--config', '--manifest'] : ['--manifest', '--config']
  return usage(
    (manifest ?? config) === undefined
      ? 'neither IMAGE nor --manifest and --config are given'
      : `${given} is given, and ${other} is not`,
    'Name an image, or give both files and --reference.',
  )
}
