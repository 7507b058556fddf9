/**
 * The part of undici that is used, under its name: a bundler hides it behind `default`, and puts scripts/lean-undici.cjs
 * in the place of the whole. And a mend for its
 * version 7: a server that closes the connection while a slow reader makes the parser pause brings the process down
 * with an assertion (nodejs/undici#5360). Version 8 is mended, but needs Node 22.19.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

export { EnvHttpProxyAgent } from 'undici'

/** What is used here of undici's own state of a connection. */
interface Parser {
  paused: boolean
  readonly ptr: unknown
  readonly llhttp: { llhttp_resume(ptr: unknown): void }
  resume(): void
}

/** Has the parser take what it was given before it hears of the end; the reader's buffer holds it. */
function goOnBeforeTheEnd(socket: Socket): void {
  const key = Object.getOwnPropertySymbols(socket).find(
    ({ description }) => description === 'parser',
  )
  const parser = key === undefined ? undefined : (Reflect.get(socket, key) as Parser | null)
  if (parser?.paused !== true) return
  parser.resume()
  // A body that only ends with the connection stays paused.
  if (!parser.paused) return
  parser.llhttp.llhttp_resume(parser.ptr)
  parser.paused = false
}

subscribe('undici:client:connected', (message) => {
  const { socket } = message as { readonly socket: Socket }
  // Before undici's own listener, which is there already.
  socket.prependListener('end', () => goOnBeforeTheEnd(socket))
})
