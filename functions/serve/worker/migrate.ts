/** What `layercast serve` runs under `workerd test`, where nothing listens, before it serves: the migrations. */
import { applyMigrations } from '../migrations.ts'
import type { Database, Migration } from '../migrations.ts'

export default {
  async test(_: unknown, env: { DB: Database; MIGRATIONS: Migration[] }): Promise<void> {
    await applyMigrations(env.DB, env.MIGRATIONS)
  },
}
