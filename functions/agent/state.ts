/** What the agent keeps on disk: who it is, its assignment, what it has reported. */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { hasCode, LayercastError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { isDigest } from '../image/digest.ts'
import { makeDirectory } from '../linux/make-directory.ts'

/** Where an agent keeps its token and what it last saw, unless told otherwise. */
export const DEFAULT_STATE_DIRECTORY = '/var/lib/layercast/agent'

const digest = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'not a digest')

const entry = z.object({
  server: z.string(),
  name: z.string(),
  /** Made before the enrolment, so that a lost answer can be asked for again. */
  enrolmentKey: z.string(),
})

/** Who this node is to a server. Its token and enrolment keys are secrets. */
const identity = entry.extend({
  id: z.string().optional(),
  token: z.string().optional(),
  /** The labels that it enrolled with, so that other labels on a later command line are noticed. */
  labels: z.record(z.string(), z.string()).optional(),
  /** Whose images and snapshots the node's are. A node of containerd stays one while containerd is away. */
  backend: z.enum(['containerd', 'embedded']).optional(),
  /** The enrolment under way, where it is another one: the present one is kept until that is done. */
  next: entry.optional(),
})

const assignment = z.object({
  /** The node that it is of: that of another enrolment must not be used. */
  node: z.string(),
  /** Opaque; empty where the server gave none. */
  etag: z.string(),
  generation: z.number().int(),
  plans: z.array(z.object({ digest, reference: z.string(), snapshotter: z.string() })),
})

const said = z.object({
  node: z.string(),
  /** The content, as a hash, of the assignment that was reported on. */
  assignment: z.string().optional(),
  /** The server's name for its knowledge of this node, after the last report. */
  known: z.string().optional(),
  /** The last report of each plan, as JSON without its duration: the same is not reported again. */
  reports: z.record(z.string(), z.string()).default({}),
  /** The facts last sent, as JSON. */
  facts: z.string().optional(),
})

export type NodeEntry = z.infer<typeof entry>
type Identity = z.infer<typeof identity>
export type KeptAssignment = z.infer<typeof assignment>
export type Said = z.infer<typeof said>

/** What the agent keeps between rounds: small files under one directory that root alone may read. */
export class State {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** Opens the directory, made where it is missing. SYSTEM_CALL_FAILED where that cannot be. */
  static async open(directory: string): Promise<State> {
    try {
      makeDirectory(join(directory, 'plans'), 0o700)
    } catch (cause) {
      throw new LayercastError('SYSTEM_CALL_FAILED', `the agent cannot keep its state in ${directory}`, {
        cause,
        fix: 'Name a directory that this user may write with --state.',
      })
    }
    return new State(directory)
  }

  identity = () => this.#read('node.json', identity)
  keepIdentity = (value: Identity) => this.#write('node.json', value)
  assignment = (node: string) => this.#recall('assignment.json', assignment, node)
  keepAssignment = (value: KeptAssignment) => this.#write('assignment.json', value)
  said = async (node: string): Promise<Said> => (await this.#recall('said.json', said, node)) ?? { node, reports: {} }
  keepSaid = (value: Said) => this.#write('said.json', value)

  /** A plan's bytes, as they were kept; the caller checks them. */
  async plan(name: Digest): Promise<Uint8Array | undefined> {
    return await readOrNone(this.#planFile(name))
  }

  async keepPlan(name: Digest, bytes: Uint8Array): Promise<void> {
    await writeWhole(this.#planFile(name), bytes)
  }

  /** Removes the plans that are not among these. */
  async prunePlans(kept: readonly Digest[]): Promise<void> {
    const names = new Set(kept.map((name) => this.#planFile(name)))
    const directory = join(this.#directory, 'plans')
    for (const name of await readdir(directory)) {
      if (!names.has(join(directory, name))) await rm(join(directory, name), { force: true })
    }
  }

  #planFile(name: Digest): string {
    return join(this.#directory, 'plans', `${name.replace(':', '-')}.json`)
  }

  /** What was kept of this node's rounds. What cannot be read is as good as none: the server has it, or is told again. */
  async #recall<T extends z.ZodType<{ node: string }>>(name: string, schema: T, node: string) {
    try {
      const kept = await this.#read(name, schema)
      return kept?.node === node ? kept : undefined
    } catch (error) {
      if (hasCode(error, 'DOCUMENT_FIELD_INVALID')) return undefined
      throw error
    }
  }

  async #read<T extends z.ZodType>(name: string, schema: T): Promise<z.output<T> | undefined> {
    const path = join(this.#directory, name)
    const bytes = await readOrNone(path)
    if (bytes === undefined) return undefined
    try {
      return schema.parse(JSON.parse(new TextDecoder().decode(bytes)))
    } catch (cause) {
      throw new LayercastError('DOCUMENT_FIELD_INVALID', `the agent's file ${path} is not as it was written`, {
        cause,
        fix: `Remove ${path} and enrol again: layercast agent --join-token TOKEN.`,
      })
    }
  }

  async #write(name: string, value: unknown): Promise<void> {
    await writeWhole(join(this.#directory, name), new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`))
  }
}

async function readOrNone(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** A reader, also one after a crash or on a full disk, sees the old file or the new one, never half of it. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.${process.pid}.part`
  try {
    const file = await open(partial, 'w', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
  } catch (error) {
    // A full disk is not to stay full of halves.
    await rm(partial, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Else the new name may be lost with the power, and with it the only copy of a token that the server gave once. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
