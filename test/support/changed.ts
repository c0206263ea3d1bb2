/** An object as it is, but for some members. Also for an object whose methods need it as their `this`, as a class's do. */
export function changed<T extends object>(base: T, members: Partial<T>): T {
  return new Proxy(base, {
    get(target, key) {
      const from = Object.hasOwn(members, key) ? members : target
      const value: unknown = Reflect.get(from, key)
      return typeof value === 'function' ? value.bind(from) : value
    },
  })
}
