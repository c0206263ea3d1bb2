/** What a backend under a lease does to everything that it makes. */
import { LayercastError } from '../../errors.ts'
import type { RootDatabase } from './database.ts'

/** Records that the lease holds a blob or snapshot. Called in the transaction that makes it. */
export type Hold = (type: 'blob' | 'snapshot', name: string) => void

/** For a backend under a lease. NOT_FOUND where there is no such lease, and then the transaction makes nothing. */
export function leaseHolder(database: RootDatabase, lease: string): Hold {
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

/** For a backend under no lease. */
export const noHolder: Hold = () => undefined
