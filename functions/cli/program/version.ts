/** The version that `layercast --version` prints. */
import manifest from '../../../package.json' with { type: 'json' }

/** layercast's own version. */
export const version: string = manifest.version
