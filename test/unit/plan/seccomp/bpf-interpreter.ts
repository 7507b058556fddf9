/** Runs a seccomp program the way the kernel does, so that tests can ask it about any call. */

export interface Call {
  /** `AUDIT_ARCH_…` */
  readonly arch: number
  readonly nr: number
  readonly args?: readonly bigint[]
}

export interface Answer {
  /** `allow`, or `errno N`. */
  readonly verdict: string
  /** Instructions it took. */
  readonly steps: number
  /** Whether the answer depends on nothing but `arch` and `nr`: the kernel can remember it. */
  readonly constant: boolean
}

const BPF = {
  LD: 0x20,
  AND: 0x54,
  JA: 0x05,
  JEQ: 0x15,
  JGT: 0x25,
  JGE: 0x35,
  JSET: 0x45,
  RET: 0x06,
}

/** Answer of the program to a call; throws on what the kernel's checker would reject. */
export function runProgram(instructions: string, call: Call): Answer {
  const code = Buffer.from(instructions, 'base64')
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call.nr >>> 0, 0)
  data.writeUInt32LE(call.arch >>> 0, 4)
  call.args?.forEach((value, index) => data.writeBigUInt64LE(value, 16 + 8 * index))
  let [accumulator, pc, steps, constant] = [0, 0, 0, true]
  for (;;) {
    if (pc * 8 >= code.length) throw new Error(`instruction ${pc} lies behind the end`)
    const op = code.readUInt16LE(pc * 8)
    const [jt, jf, k] = [code[pc * 8 + 2]!, code[pc * 8 + 3]!, code.readUInt32LE(pc * 8 + 4)]
    pc++
    steps++
    switch (op) {
      case BPF.LD:
        if (k % 4 !== 0 || k > 60) throw new Error(`load from ${k}`)
        if (k > 4) constant = false
        accumulator = data.readUInt32LE(k)
        break
      case BPF.JA:
        pc += k
        break
      case BPF.JEQ:
        pc += accumulator === k ? jt : jf
        break
      case BPF.JGT:
        pc += accumulator > k ? jt : jf
        break
      case BPF.AND:
        accumulator = (accumulator & k) >>> 0
        break
      case BPF.JGE:
        pc += accumulator >= k ? jt : jf
        break
      case BPF.JSET:
        pc += (accumulator & k) !== 0 ? jt : jf
        break
      case BPF.RET:
        return { verdict: describeReturn(k), steps, constant }
      default:
        throw new Error(`instruction ${op.toString(16)}`)
    }
  }
}

/**
 * Answer of several programs loaded one after the other: the strictest counts, and among equally strict
 * ones that of the program loaded last.
 */
export function runPrograms(programs: readonly string[], call: Call): string {
  const verdicts = programs.map((program) => runProgram(program, call).verdict)
  return verdicts.findLast((verdict) => verdict !== 'allow') ?? 'allow'
}

function describeReturn(value: number): string {
  if (value === 0x7fff0000) return 'allow'
  if (value >>> 16 === 5) return `errno ${value & 0xffff}`
  return value.toString(16)
}
