// workerd gives a .wasm import as a compiled module.
declare module '#core.wasm' {
  const module: WebAssembly.Module
  export default module
}

// workerd's own: a stream that hashes what is written to it.
interface Crypto {
  readonly DigestStream: new (
    algorithm: 'SHA-256',
  ) => WritableStream<Uint8Array> & { readonly digest: Promise<ArrayBuffer> }
}
