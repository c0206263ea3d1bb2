import { deepEqual } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { all } from '../../../support/all.ts'
import { startContainerd, type TestContainerd } from '../../../support/containerd/start.ts'
import type { BuiltImage } from '../../../support/images/image.ts'
import { writeOciArchive } from '../../../support/images/write.ts'
import { layercast, type Ran } from '../../../support/layercast.ts'

/** One entry of what an unpack for runtime handlers prints as JSON. */
export interface Entry {
  snapshotter: string
  handlers: string[]
  role: 'image' | 'sandbox'
  reference: string
  ready?: boolean
  layers?: { state?: string; snapshot?: string }[]
  warnings: { code: string; detail: string }[]
  error?: { code: string; message: string; fix?: string; exit: number }
}

/** A private containerd with its images, and the program run against it without a namespace being named. */
export class CriNode {
  readonly containerd: TestContainerd
  readonly #directory: string

  constructor(containerd: TestContainerd, directory: string) {
    this.containerd = containerd
    this.#directory = directory
  }

  static async start(options: Parameters<typeof startContainerd>[0]): Promise<CriNode> {
    const directory = await mkdtemp(join(tmpdir(), 'layercast-handlers-'))
    return new CriNode(await startContainerd({ namespace: 'k8s.io', ...options }), directory)
  }

  async stop(): Promise<void> {
    await this.containerd.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async archive(image: BuiltImage, name: string): Promise<string> {
    const file = join(this.#directory, 'image.tar')
    await writeOciArchive(image, file, { ref: name.slice(name.lastIndexOf(':') + 1) })
    return file
  }

  /** Imports the image from a file, unpacked for overlayfs: no registry has it. */
  async bring(image: BuiltImage, name: string): Promise<void> {
    const baseName = name.slice(0, name.lastIndexOf(':'))
    await this.containerd.importArchive(await this.archive(image, name), { baseName, snapshotter: 'overlayfs' })
  }

  run(...args: string[]): Promise<Ran> {
    return layercast(args, { env: { CONTAINERD_ADDRESS: this.containerd.address } })
  }

  /** The entries of an `unpack` that succeeds and complains of nothing. */
  async entries(...args: string[]): Promise<Entry[]> {
    const ran = await this.run(...args, '-o', 'json')
    deepEqual([ran.status, ran.stderr], [0, ''])
    return JSON.parse(ran.stdout.toString()) as Entry[]
  }

  async snapshots(snapshotter: string): Promise<Map<string, Record<string, string>>> {
    const backend = await this.containerd.connect()
    const infos = await all(backend.snapshotter(snapshotter).list())
    return new Map(infos.map(({ name, labels }) => [name, labels]))
  }

  /** The exit status of `verify` and what it complains of. */
  async verify(name: string, snapshotter: string): Promise<[number | null, string]> {
    const { status, stderr } = await this.run('verify', name, '-s', snapshotter, '-n', 'k8s.io')
    return [status, stderr]
  }
}

export const summary = (entries: readonly Entry[]): unknown[] =>
  entries.map(({ snapshotter, handlers, role, reference }) => [snapshotter, handlers.join(' '), role, reference])
export const codes = ({ warnings }: Entry): string[] => warnings.map(({ code }) => code)
