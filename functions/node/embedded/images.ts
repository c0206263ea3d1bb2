/** The image store of a root. */
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { quote } from '../../image/quote.ts'
import type { ImageRecord, ImageStore } from '../ports.ts'
import type { RootDatabase, Row } from './database.ts'
import { mergeLabels } from './labels.ts'
import type { Layout } from './layout.ts'
import { dropImageRecord, keepImageRecord } from './records.ts'
import { decoded, encodeLabels, storedOf } from './rows.ts'

/** Image records in the root's database. Errors as the port says. */
export function embeddedImages(database: RootDatabase, layout: Layout): ImageStore {
  const find = (name: string): Row | undefined => database.get('select * from images where name = ?', name)
  const get = (name: string): ImageRecord => {
    const row = find(name)
    if (row === undefined) throw notFound(name)
    return imageOf(row)
  }
  return {
    async get(name): Promise<ImageRecord> {
      return get(name)
    },

    async *list(): AsyncGenerator<ImageRecord> {
      for (const row of database.all('select * from images order by name')) yield imageOf(row)
    },

    async put(name, target, labels = {}): Promise<ImageRecord> {
      return await database.transaction(() => {
        const row = find(name)
        const merged = encodeLabels(mergeLabels(row === undefined ? {} : storedOf(row).labels, labels))
        const now = Date.now()
        database.run(
          `insert into images (name, target, labels, created, updated) values (?, ?, ?, ?, ?)
           on conflict (name) do update set
             target = excluded.target, labels = excluded.labels, updated = excluded.updated`,
          name,
          JSON.stringify(target),
          merged,
          now,
          now,
        )
        const record = get(name)
        keepImageRecord(layout, record)
        return record
      })
    },

    async remove(name): Promise<void> {
      const gone = await database.transaction(() => {
        dropImageRecord(layout, name)
        return database.run('delete from images where name = ?', name)
      })
      if (gone === 0) throw notFound(name)
    },
  }
}

/** The image of a row of `images`. */
export function imageOf(row: Row): ImageRecord {
  return { name: String(row['name']), target: decoded<Descriptor>(row['target']), ...storedOf(row) }
}

function notFound(name: string): LayercastError {
  return new LayercastError('IMAGE_NOT_FOUND', `there is no image ${quote(name)} under this root`, {
    fix: 'List the images with `layercast image ls`, or name a source such as oci:DIR or docker://NAME.',
    detail: { image: name },
  })
}
