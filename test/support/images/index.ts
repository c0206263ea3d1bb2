/** Test images: entries → layers → image → layout or archive. The one door for tests of every part. */
export * from './entries.ts'
export * from './image.ts'
export * from './tar.ts'
export * from './write.ts'
