import { LayercastError } from '../../errors.ts'
import type { Database } from './database.ts'

/** Notes that a lease holds a thing. Called inside the transaction which makes that thing. */
export type Hold = (type: 'blob' | 'snapshot', name: string) => void

/** Everything made is held by this lease; NOT_FOUND when it is not there, and then nothing is made. */
export function leaseHolder(database: Database, lease: string): Hold {
  return (type, name) => {
    if (database.get('select 1 from leases where id = ? and expires > ?', lease, Date.now()) === undefined) {
      throw new LayercastError('NOT_FOUND', `there is no lease ${lease}, or it has expired`, {
        fix: 'Create a new lease and begin again.',
        detail: { lease },
      })
    }
    database.run('insert or ignore into lease_resources (lease, type, name) values (?, ?, ?)', lease, type, name)
  }
}

export const noHolder: Hold = () => undefined
