import { planText } from '../output/plan.ts'
import { write } from '../program/console.ts'
import { clientOf } from '../program/server.ts'
import { verb } from '../program/verb.ts'
import { oneSnapshotter } from './handlers.ts'
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
} from './options.ts'
import { planHere, planInput, planRequest } from './planning.ts'

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
    const input = await planInput(
      context,
      { image: args.IMAGE, manifest: options.manifest, config: options.config },
      { ...options, snapshotter: await oneSnapshotter(context, options) },
    )
    const { server } = options
    const planned =
      server === undefined
        ? await planHere(input)
        : await (await clientOf(context, { ...options, server })).plan(planRequest(input))
    if (!context.json) return context.show(undefined, () => planText(planned))
    await write(context.streams.stdout, planned.bytes)
    if (context.streams.stdout.isTTY) await write(context.streams.stdout, '\n')
  },
})
