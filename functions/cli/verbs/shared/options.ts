/** Options and arguments that several verbs take, so that they have one name and one meaning. */

import type { ArgumentSpec, OptionSpec } from '../../program/spec.ts'

export const SNAPSHOTTER = {
  short: 's',
  value: 'NAME',
  required: true,
  env: 'CONTAINERD_SNAPSHOTTER',
  summary: 'the snapshotter to make it ready under',
} as const satisfies OptionSpec

/** For a verb that takes runtime handlers too. */
export const SNAPSHOTTER_OR_HANDLER = {
  short: 's',
  value: 'NAME',
  env: 'CONTAINERD_SNAPSHOTTER',
  summary: 'the snapshotter to make it ready under; or name runtime handlers',
} as const satisfies OptionSpec

export const RUNTIME_HANDLER = {
  value: 'NAME',
  many: true,
  summary:
    "the snapshotter of this runtime handler, by containerd's configuration; in namespace k8s.io unless one is named",
} as const satisfies OptionSpec

/** For a verb that takes one snapshotter only. */
export const ONE_RUNTIME_HANDLER = {
  value: RUNTIME_HANDLER.value,
  summary: RUNTIME_HANDLER.summary,
} as const satisfies OptionSpec

export const ALL_HANDLERS = {
  summary:
    'the snapshotters of all runtime handlers, and the pause image under each; in namespace k8s.io unless one is named',
} as const satisfies OptionSpec

export const PLATFORM = {
  value: 'OS/ARCH',
  summary:
    "which of the image's platforms, such as linux/arm64 or linux(+erofs)/amd64 (default: this machine's, and under erofs first what is made for it)",
} as const satisfies OptionSpec

export const PROFILE = {
  value: 'NAME',
  summary: "the label profile (default: the snapshotter's; see 'layercast snapshotter ls')",
} as const satisfies OptionSpec

export const LABELS = {
  value: 'SET',
  choices: ['cri', 'off'],
  summary: "which labels besides the chain's own (default: cri)",
} as const satisfies OptionSpec

export const REFERENCE = {
  value: 'NAME',
  summary: 'the name that the labels carry (default: the name of the image)',
} as const satisfies OptionSpec

export const DRY_RUN = {
  summary: 'say what would happen against what is there, and change nothing',
} as const satisfies OptionSpec

export const APPLIER = {
  value: 'WHO',
  choices: ['containerd', 'own'],
  summary:
    "who writes the layers: layercast itself (own), or containerd's diff service, which gets some layers wrong (default: own, and containerd for what layercast cannot see or write from here)",
} as const satisfies OptionSpec

export const SEQUENTIAL = {
  summary: 'write one layer after the other, also where several could be written side by side',
} as const satisfies OptionSpec

export const SOURCE = {
  value: 'SOURCE',
  many: true,
  summary:
    'where blobs come from that are missing or damaged: oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://NAME, or registry for where the image came from; registries are asked as hosts.toml says',
} as const satisfies OptionSpec

export const FROM_SNAPSHOTTER = {
  value: 'NAME',
  summary:
    'where missing layers come from last: made again out of this snapshotter, where the image is unpacked, and not checked',
} as const satisfies OptionSpec

export const SERVER = {
  value: 'URL',
  required: true,
  env: 'LAYERCAST_SERVER',
  summary: "where 'layercast serve' or the Worker answers",
} as const satisfies OptionSpec

export const TOKEN = {
  value: 'TOKEN',
  env: 'LAYERCAST_TOKEN',
  summary: 'an operator token, or @FILE to read it from a file',
} as const satisfies OptionSpec

export const IMAGE = {
  name: 'IMAGE',
  summary: 'a name, ID or digest on the node, or oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, docker://NAME',
} as const satisfies ArgumentSpec

export const CONTAINERD_CONFIG = {
  value: 'FILE',
  summary: "containerd's configuration (default: the file that the daemon was started with)",
} as const satisfies OptionSpec
