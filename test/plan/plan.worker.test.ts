import { expect, test } from 'vitest'
import { parsePlan, plan } from '../../functions/library.ts'
import { utf8 } from '../image/bytes.ts'
import { CONFIG, MANIFEST, PLAN_DIGEST, REFERENCE } from './golden.ts'

test('in workerd the library gives the plan that it gives in Node', () => {
  expect(navigator.userAgent).toBe('Cloudflare-Workers')
  const planned = plan({ reference: REFERENCE, manifest: utf8(MANIFEST), config: utf8(CONFIG), snapshotter: 'nydus' })
  expect(planned.digest).toBe(PLAN_DIGEST)
  expect(parsePlan(planned.bytes)).toEqual(planned)
})
