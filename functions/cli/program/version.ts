import manifest from '../../../package.json' with { type: 'json' }

/** layercast's own version. */
export const version: string = manifest.version
