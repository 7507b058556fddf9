/** C functions that are bound at their first call: binding costs 30 µs each, at every start of a program. */
import { libc, type NativeFunction } from './libc.ts'

/** Like `libc.func(prototype)`, at the first call. */
export function lazyFunction(prototype: string): NativeFunction {
  let bound: NativeFunction | undefined
  return (...args) => (bound ??= libc.func(prototype))(...args)
}
