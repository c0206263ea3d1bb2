import { expect, test } from 'vitest'
import { NodeState } from '../../functions/cri-proxy/node-state.ts'
import { LayercastError } from '../../functions/errors.ts'
import type { Backend } from '../../functions/node/ports.ts'

/** Connections that are numbered in their order, and which of them were ended. */
function numbered() {
  const closed: number[] = []
  let count = 0
  const node = new NodeState({
    connect: () => {
      const number = ++count
      return Promise.resolve({
        version: () => Promise.resolve(`${number}`),
        close: () => Promise.resolve(void closed.push(number)),
      } as unknown as Backend)
    },
  })
  return { node, closed, count: () => count }
}
const GONE = new LayercastError('CONTAINERD_UNREACHABLE', 'containerd does not answer')

test('calls that find the connection dead at once go on over one new connection, which none of them ends for the others', async () => {
  const { node, closed, count } = numbered()
  const { promise: slow, resolve } = Promise.withResolvers<void>()
  const work = async (wait: Promise<void>, backend: Backend): Promise<string> => {
    const number = await backend.version()
    if (number === '1') {
      await wait
      throw GONE
    }
    // Whoever is on the new connection must still be able to use it after the others came.
    await slow
    if (closed.includes(Number(number))) throw GONE
    return number
  }
  const early = node.run((backend) => work(Promise.resolve(), backend))
  const late = node.run((backend) => work(new Promise((done) => setTimeout(done, 30)), backend))
  setTimeout(resolve, 80)
  expect(await Promise.all([early, late])).toEqual(['2', '2'])
  expect([count(), closed]).toEqual([2, [1]])
})

test('what is under way keeps its connection when all is forgotten, and the next one gets a new one', async () => {
  const { node, closed } = numbered()
  const { promise, resolve } = Promise.withResolvers<void>()
  const under = node.run(async (backend) => {
    await promise
    return [await backend.version(), closed.length]
  })
  node.forget()
  expect(await node.run((backend) => backend.version())).toBe('2')
  resolve()
  expect(await under).toEqual(['1', 0])
  expect(closed).toEqual([1])
  node.forget()
  await expect.poll(() => closed).toEqual([1, 2])
})

test('a daemon that is not there is tried once more, and again by the next call', async () => {
  let tries = 0
  const node = new NodeState({
    connect: async () => {
      if (++tries < 4) throw GONE
      return await Promise.resolve({ close: () => Promise.resolve() } as Backend)
    },
  })
  const done = () => Promise.resolve('done')
  await expect(node.run(done)).rejects.toThrow(GONE)
  expect(tries).toBe(2)
  await expect(node.run(done)).resolves.toBe('done')
})
