/** The program that the runtime's client starts to fork supervisors from; see `src/runtime/zygote.ts`. */
import { ZYGOTE_FD } from '../runtime/protocol.ts'
import { runZygote } from '../runtime/zygote.ts'

export function main(): Promise<number> {
  runZygote(ZYGOTE_FD)
  return Promise.resolve(0)
}
