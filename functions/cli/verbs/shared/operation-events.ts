/** Tells the user of what every operation on a node may send: retries and warnings, and under `--verbose` its leases. */

import type { OperationEvent } from '../../../runner/operation/events.ts'
import type { Context } from '../../program/context.ts'

/** Writes the event to stderr. For an operation whose report has its warnings, leave those out. */
export function tellOperation(context: Pick<Context, 'detail' | 'note'>, event: OperationEvent): void {
  if (event.type === 'lease') context.detail(`lease ${event.id} ${event.step}`)
  else if (event.type === 'retry') context.note(`layercast: ${event.what} failed, trying again in ${event.waitMs} ms`)
  else context.note(`layercast: warning: ${event.detail} (${event.code})`)
}
