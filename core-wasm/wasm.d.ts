// workerd gives a .wasm import as a compiled module.
declare module '#core.wasm' {
  const module: WebAssembly.Module
  export default module
}
