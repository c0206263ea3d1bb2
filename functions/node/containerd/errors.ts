/** What the daemon's gRPC status and words mean, as LayercastErrors. */
import { Code as GrpcCode, ConnectError } from '@connectrpc/connect'
import { LayercastError, type Code } from '../../errors.ts'

type Words = readonly [words: RegExp, code: Code, fix?: string]

/** What the daemon's NotFound means for a call, and what a user can do about it. */
export interface Meaning {
  notFound?: Code
  /** Where the daemon's status does not tell enough: patterns of its words, and what they mean. */
  words?: readonly Words[]
  /** The caller's own signal: once it is aborted, the error is ABORTED. */
  signal?: AbortSignal | undefined
  fix?: string
}

const UNREACHABLE_FIX =
  'Check that containerd runs and that --address (or CONTAINERD_ADDRESS) names its socket; reading it needs root.'

const FAILED_FIX = "Look into containerd's log for what it met (journalctl -u containerd, where systemd runs it)."

// The words are the same from 1.6 to 2.4. The status of all of them is InvalidArgument.
const COMMON_WORDS: readonly Words[] = [
  [
    /snapshotter not loaded/,
    'SNAPSHOTTER_NOT_FOUND',
    'See which there are with `layercast snapshotter ls`, or add it to containerd as a proxy plugin.',
  ],
  [/label key and value/, 'LABEL_TOO_LARGE'],
  [/is not committed snapshot/, 'FAILED_PRECONDITION'],
]

/** CONTAINERD_UNREACHABLE for an address. */
export function daemonUnreachable(address: string, cause: unknown): LayercastError {
  return new LayercastError('CONTAINERD_UNREACHABLE', `containerd does not answer at ${address}: ${reason(cause)}`, {
    cause,
    fix: UNREACHABLE_FIX,
    detail: { address },
  })
}

/** The message of the innermost cause: the socket's error, not what wraps it. */
function reason(cause: unknown): string {
  let innermost = cause
  while (innermost instanceof Error && innermost.cause instanceof Error && answered(innermost.cause) === undefined) {
    innermost = innermost.cause
  }
  return ConnectError.from(innermost).rawMessage
}

/** Whether the error is an answer of the daemon: only such errors have a gRPC status in their trailers. */
function isAnswer(error: ConnectError): boolean {
  return error.metadata.has('grpc-status')
}

/** The daemon's status of a failed call; undefined when the call never got an answer. */
export function answered(error: unknown): GrpcCode | undefined {
  return error instanceof ConnectError && isAnswer(error) ? error.code : undefined
}

/**
 * The LayercastError for what a gRPC call threw; errors of the family pass unchanged. The daemon's own words are in the
 * message, the ConnectError is the cause.
 */
export function fromGrpc(error: unknown, address: string, doing: string, meaning: Meaning = {}): LayercastError {
  if (error instanceof LayercastError) return error
  const grpc = ConnectError.from(error)
  if (grpc.cause instanceof LayercastError) return grpc.cause
  if (meaning.signal?.aborted === true)
    return new LayercastError('ABORTED', `cannot ${doing}: aborted`, { cause: error })
  if (!isAnswer(grpc)) return daemonUnreachable(address, error)
  const [code, fix] = classify(grpc, meaning)
  return new LayercastError(code, `cannot ${doing}: ${grpc.rawMessage}`, {
    cause: error,
    fix,
    detail: { grpc: GrpcCode[grpc.code] },
  })
}

function classify(grpc: ConnectError, meaning: Meaning): [Code, string | undefined] {
  switch (grpc.code) {
    case GrpcCode.NotFound:
      return [meaning.notFound ?? 'NOT_FOUND', meaning.fix]
    case GrpcCode.AlreadyExists:
      return ['ALREADY_EXISTS', undefined]
    case GrpcCode.FailedPrecondition:
      return ['FAILED_PRECONDITION', undefined]
    default: {
      const [, code, fix] =
        [...(meaning.words ?? []), ...COMMON_WORDS].find(([words]) => words.test(grpc.rawMessage)) ?? []
      return code === undefined ? ['CONTAINERD_FAILED', FAILED_FIX] : [code, fix]
    }
  }
}
