/**
 * The one error family of layercast. A code is stable: scripts and clients may rely on it. Its kind decides the exit
 * status of the CLI and the status of an HTTP answer, so that neither is chosen anywhere else.
 */

/** What sort of trouble an error is, with the exit status (DESIGN, "Users' doors") and HTTP status that go with it. */
const KINDS = {
  failed: { exit: 1, status: 500 },
  conflict: { exit: 1, status: 409 },
  unauthorized: { exit: 1, status: 401 },
  forbidden: { exit: 1, status: 403 },
  usage: { exit: 2, status: 400 },
  invalid: { exit: 2, status: 422 },
  method: { exit: 2, status: 405 },
  tooLarge: { exit: 2, status: 413 },
  unsupported: { exit: 2, status: 415 },
  notFound: { exit: 3, status: 404 },
  unreachable: { exit: 4, status: 503 },
  verification: { exit: 5, status: 422 },
} as const

export type Kind = keyof typeof KINDS

/** Every code there is, with its kind. */
export const CODES = {
  // image: what was given is not what it should be
  DIGEST_INVALID: 'invalid',
  DIGEST_MISMATCH: 'verification',
  REFERENCE_INVALID: 'invalid',
  PLATFORM_INVALID: 'invalid',
  PLATFORM_NOT_FOUND: 'notFound',
  PLATFORM_MISMATCH: 'invalid',
  JSON_INVALID: 'invalid',
  JSON_DUPLICATE_KEY: 'invalid',
  JSON_TRAILING_BYTES: 'invalid',
  JSON_TOO_DEEP: 'invalid',
  DOCUMENT_TOO_LARGE: 'tooLarge',
  DOCUMENT_FIELD_INVALID: 'invalid',
  MANIFEST_SCHEMA1: 'unsupported',
  MANIFEST_IS_INDEX: 'invalid',
  INDEX_IS_MANIFEST: 'invalid',
  MEDIA_TYPE_UNSUPPORTED: 'unsupported',
  // plan
  LAYERS_DIFFIDS_MISMATCH: 'invalid',
  LABEL_TOO_LARGE: 'invalid',
  SNAPSHOTTER_INVALID: 'invalid',
  PROFILE_UNKNOWN: 'notFound',
  PLAN_INVALID: 'invalid',
  PLAN_LABEL_REQUIRED: 'invalid',
  PLAN_NOT_DERIVED: 'invalid',
  // layers
  LAYER_CORRUPT: 'verification',
  LAYER_TOO_LARGE: 'verification',
  LAYER_UNSAFE: 'verification',
  LAYER_UNSUPPORTED: 'unsupported',
  DIFF_ID_MISMATCH: 'verification',
  // node
  ALREADY_EXISTS: 'conflict',
  FAILED_PRECONDITION: 'conflict',
  NOT_FOUND: 'notFound',
  IMAGE_NOT_FOUND: 'notFound',
  IMAGE_AMBIGUOUS: 'invalid',
  BLOB_NOT_FOUND: 'notFound',
  SNAPSHOT_NOT_FOUND: 'notFound',
  SNAPSHOTTER_NOT_FOUND: 'notFound',
  SNAPSHOTTER_NOT_READY: 'failed',
  HANDLER_NOT_FOUND: 'notFound',
  SNAPSHOT_WITHOUT_MOUNTS: 'failed',
  SNAPSHOT_IN_USE: 'conflict',
  TREE_NOT_ON_NODE: 'failed',
  MOUNT_HELPER_MISSING: 'failed',
  CHAIN_INCOMPLETE: 'verification',
  VERIFICATION_FAILED: 'verification',
  NODE_CONFIG_INVALID: 'invalid',
  SOURCE_INVALID: 'invalid',
  ROOT_FOREIGN: 'invalid',
  DATABASE_DAMAGED: 'failed',
  SYSTEM_CALL_FAILED: 'failed',
  CONTAINERD_UNREACHABLE: 'unreachable',
  CONTAINERD_FAILED: 'failed',
  REGISTRY_UNREACHABLE: 'unreachable',
  REGISTRY_FAILED: 'failed',
  ABORTED: 'failed',
  TIMED_OUT: 'unreachable',
  // api and fleet
  SERVER_UNREACHABLE: 'unreachable',
  SERVER_FAILED: 'failed',
  REQUEST_INVALID: 'usage',
  REQUEST_TOO_LARGE: 'tooLarge',
  METHOD_NOT_ALLOWED: 'method',
  HOST_REFUSED: 'forbidden',
  ORIGIN_REFUSED: 'forbidden',
  TOKEN_MISSING: 'unauthorized',
  TOKEN_INVALID: 'unauthorized',
  TOKEN_SCOPE: 'forbidden',
  TOKEN_EXPIRED: 'unauthorized',
  TOKEN_REVOKED: 'unauthorized',
  TOKEN_USED_UP: 'unauthorized',
  SELECTOR_INVALID: 'usage',
  PLAN_NOT_FOUND: 'notFound',
  NODE_EXISTS: 'conflict',
  NODE_NOT_FOUND: 'notFound',
  JOIN_TOKEN_NOT_FOUND: 'notFound',
  ASSIGNMENT_NOT_FOUND: 'notFound',
  PORT_IN_USE: 'failed',
  WORKER_NOT_BUILT: 'failed',
  // cli
  USAGE: 'usage',
  FILE_NOT_FOUND: 'notFound',
  INTERNAL: 'failed',
} as const satisfies Record<string, Kind>

export type Code = keyof typeof CODES

export interface LayercastErrorOptions {
  /** What was underneath; kept, and shown by `--verbose`. */
  cause?: unknown
  /** What the user can do about it, one imperative sentence. */
  fix?: string | undefined
  /** Machine-readable facts: digests, limits, paths in a document. */
  detail?: Readonly<Record<string, unknown>> | undefined
}

/** An error that a user may meet: a stable code, a message that says what is wrong, a fix that says what to do. */
export class LayercastError extends Error {
  override readonly name = 'LayercastError'
  readonly code: Code
  readonly fix: string | undefined
  readonly detail: Readonly<Record<string, unknown>>

  constructor(code: Code, message: string, options: LayercastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.fix = options.fix
    this.detail = options.detail ?? {}
  }

  get kind(): Kind {
    return CODES[this.code]
  }

  /** The CLI's exit status: 1 failed, 2 usage, 3 not found, 4 unreachable, 5 verification failed. */
  get exit(): number {
    return KINDS[this.kind].exit
  }

  /** The status of an HTTP answer (RFC 9457). */
  get status(): number {
    return KINDS[this.kind].status
  }
}

/** Whether an error is one of the family with one of these codes. */
export function hasCode(error: unknown, ...codes: Code[]): error is LayercastError {
  return error instanceof LayercastError && codes.includes(error.code)
}
