/**
 * A small assembler for classic BPF (linux/filter.h). Jumps go only forwards and conditional ones reach
 * 255 instructions, so code is emitted from its end: every target is there before the jump to it, and
 * one that has drifted out of reach gets a stepping stone right where it is needed.
 *
 * Only the instructions that the kernel's seccomp can reason about are offered: for a program of these,
 * it finds out at load time which calls are always allowed, and skips the filter for them ever after.
 */

const LD_W_ABS = 0x20
const ALU_AND_K = 0x54
const JMP_JA = 0x05
const JMP_JEQ_K = 0x15
const JMP_JGE_K = 0x35
const JMP_JSET_K = 0x45
const RET_K = 0x06

/** `BPF_MAXINSNS`: the kernel takes no longer program. */
const MAX_INSTRUCTIONS = 4096
/** Reach of a conditional jump, less the stepping stones that one of them may need. */
const REACH = 253

export type Test = 'equal' | 'greater-or-equal' | 'any-bit'

const TESTS: Readonly<Record<Test, number>> = {
  equal: JMP_JEQ_K,
  'greater-or-equal': JMP_JGE_K,
  'any-bit': JMP_JSET_K,
}

/** A place in the program: how many instructions follow it. */
export type Label = number

export class Assembler {
  /** Last instruction first; four numbers each: code, jt, jf, k. */
  readonly #words: number[] = []
  readonly #returns = new Map<number, Label>()

  /** Ends the filter with this value (`SECCOMP_RET_…`). */
  ret(value: number): Label {
    const known = this.#returns.get(value)
    if (known !== undefined && this.#distance(known) <= REACH) return known
    const label = this.#emit(RET_K, 0, 0, value)
    this.#returns.set(value, label)
    return label
  }

  /** Loads the 32-bit word at `offset` of `struct seccomp_data`, then goes on at `next`. */
  load(offset: number, next: Label): Label {
    this.#fallThrough(next)
    return this.#emit(LD_W_ABS, 0, 0, offset)
  }

  /** Keeps the bits of the loaded word that are in `k`, then goes on at `next`. */
  and(k: number, next: Label): Label {
    this.#fallThrough(next)
    return this.#emit(ALU_AND_K, 0, 0, k)
  }

  /** Compares the loaded word with `k`. */
  branch(test: Test, k: number, whenTrue: Label, whenFalse: Label): Label {
    const no = this.#near(whenFalse)
    const yes = this.#near(whenTrue)
    return this.#emit(TESTS[test], this.#distance(yes), this.#distance(no), k)
  }

  /**
   * The program that starts at `entry`, as the kernel's `struct sock_filter` array.
   *
   * @throws RangeError when it is longer than the kernel takes
   */
  assemble(entry: Label): Uint8Array {
    this.#fallThrough(entry)
    const count = this.#words.length / 4
    if (count > MAX_INSTRUCTIONS) throw new RangeError(`${count} BPF instructions are too many`)
    const bytes = new Uint8Array(count * 8)
    const view = new DataView(bytes.buffer)
    for (let i = 0; i < count; i++) {
      const word = (count - 1 - i) * 4
      view.setUint16(i * 8, this.#words[word] as number, true)
      view.setUint8(i * 8 + 2, this.#words[word + 1] as number)
      view.setUint8(i * 8 + 3, this.#words[word + 2] as number)
      view.setUint32(i * 8 + 4, this.#words[word + 3] as number, true)
    }
    return bytes
  }

  #emit(code: number, jt: number, jf: number, k: number): Label {
    this.#words.push(code, jt, jf, k)
    return this.#words.length / 4 - 1
  }

  /** Instructions between the next one emitted and the target. */
  #distance(target: Label): number {
    return this.#words.length / 4 - 1 - target
  }

  #fallThrough(target: Label): void {
    const distance = this.#distance(target)
    if (distance > 0) this.#emit(JMP_JA, 0, 0, distance)
  }

  #near(target: Label): Label {
    const distance = this.#distance(target)
    if (distance <= REACH) return target
    if (this.#words[target * 4] === RET_K) return this.ret(this.#words[target * 4 + 3] as number)
    return this.#emit(JMP_JA, 0, 0, distance)
  }
}
