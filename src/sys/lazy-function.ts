/** C functions that are bound at their first call: binding costs 30 µs each, at every start of a program. */
import { libc, type NativeFunction } from './libc.ts'

const unbound: (() => void)[] = []

/** Like `libc.func(prototype)`, at the first call. */
export function lazyFunction(prototype: string): NativeFunction {
  let bound: NativeFunction | undefined
  const bind = () => (bound ??= libc.func(prototype))
  unbound.push(bind)
  return (...args) => (bound ?? bind())(...args)
}

/** Binds what is not bound yet, for a process whose children would else do it each for itself. */
export function bindAllFunctions(): void {
  for (const bind of unbound.splice(0)) bind()
}
