/** The program of a decoding thread: it decodes one stream after another. */
import { parentPort, workerData } from 'node:worker_threads'
import { decoderOn } from '../decoder.ts'
import { CoreError } from '../errors.ts'
import { Instance } from '../instance.ts'
import { Cancelled, DecoderSide, KEPT_VIEWS, type Job, type DecodeOutcome, type Shared } from './channel.ts'

const shared = workerData as Shared
const side = new DecoderSide(shared)
const instance = new Instance(shared.module, shared.memory)
instance.core.keepViews(KEPT_VIEWS)

function decode({ format, limit }: Job): DecodeOutcome {
  const decoder = decoderOn(instance, format, { limit })
  try {
    for (const chunk of side.input()) for (const view of decoder.write(chunk)) side.give(view)
    for (const view of decoder.end()) side.give(view)
    return { ok: true }
  } catch (error) {
    if (error instanceof CoreError) {
      return { ok: false, code: error.code, detail: error.detail }
    }
    // The caller asked for the end.
    if (error instanceof Cancelled) return { ok: true }
    return { ok: false, message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  } finally {
    decoder.free()
  }
}

parentPort?.on('message', (job: Job) => {
  const outcome = decode(job)
  side.end()
  parentPort?.postMessage(outcome)
})
