import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { ByteForwarder } from '../../../src/runtime/byte-forwarder.ts'
import { close, pipe, read, setNonBlocking, write } from '../../../src/sys/fd.ts'

const opened = new Set<number>()
afterEach(() => {
  for (const fd of opened) close(fd)
  opened.clear()
})

/** A pipe into the forwarder and one out of it, all ends non-blocking. */
function twoPipes() {
  const [from, source] = pipe()
  const [sink, to] = pipe()
  for (const fd of [from, source, sink, to]) {
    setNonBlocking(fd)
    opened.add(fd)
  }
  return {
    from,
    source,
    sink,
    to,
    /** Closes one end. */
    end: (fd: number) => {
      opened.delete(fd)
      close(fd)
    },
  }
}

function cutEscape(input: Uint8Array): readonly Uint8Array[] {
  const cut = input.indexOf(0x1d)
  return cut < 0 ? [input] : [input.subarray(0, cut), input.subarray(cut + 1)]
}

/** Reads once and writes once. */
function step(forwarder: ByteForwarder): number {
  return forwarder.readSome() + forwarder.writeSome()
}

/** All that can be read now. */
function readAll(fd: number): Buffer {
  const parts: Buffer[] = []
  const buffer = Buffer.alloc(1 << 16)
  for (let count = read(fd, buffer); count; count = read(fd, buffer)) {
    parts.push(Buffer.from(buffer.subarray(0, count)))
  }
  return Buffer.concat(parts)
}

test('a megabyte arrives byte for byte, though the reader is slow', () => {
  const { from, source, sink, to } = twoPipes()
  const forwarder = new ByteForwarder({ from, to, capacityBytes: 5000 })
  const data = randomBytes(1 << 20)
  const received: Buffer[] = []
  const chunk = Buffer.alloc(3001)
  for (let sent = 0, got = 0; got < data.length;) {
    if (sent < data.length) sent += write(source, data.subarray(sent, sent + 7919)) ?? 0
    step(forwarder)
    const count = read(sink, chunk) ?? 0
    received.push(Buffer.from(chunk.subarray(0, count)))
    got += count
  }
  expect(Buffer.concat(received).equals(data)).toBe(true)
  expect(forwarder.lastByte).toBe(data.at(-1))
})

test('it stops reading while nothing can be written', () => {
  const { from, source, sink, to } = twoPipes()
  const forwarder = new ByteForwarder({ from, to, capacityBytes: 1000 })
  const block = Buffer.alloc(4096, 'x')
  let accepted = 0
  for (let round = 0; round < 200; round++) {
    accepted += write(source, block) ?? 0
    while (step(forwarder) > 0);
  }
  expect([forwarder.wantsInput, forwarder.wantsOutput]).toEqual([false, true])
  expect(write(source, block)).toBeUndefined()

  let got = 0
  for (let idle = 0; idle < 2; idle += step(forwarder) > 0 ? 0 : 1) got += readAll(sink).length
  expect(got + readAll(sink).length).toBe(accepted)
  expect([forwarder.wantsInput, forwarder.wantsOutput]).toEqual([true, false])
})

test('what was read before the end of the input is still written', () => {
  const { from, source, sink, to, end } = twoPipes()
  const forwarder = new ByteForwarder({ from, to })
  write(source, Buffer.from('last words'))
  end(source)
  expect(forwarder.readSome()).toBe(10)
  expect(forwarder.ended).toBe(false)
  expect(forwarder.readSome()).toBe(0)
  expect(forwarder.ended).toBe(true)
  expect(forwarder.wantsOutput).toBe(true)
  expect(forwarder.writeSome()).toBe(10)
  expect(forwarder.wantsOutput).toBe(false)
  expect(forwarder.wantsInput).toBe(false)
  expect(readAll(sink).toString()).toBe('last words')
  forwarder.reopen()
  expect(forwarder.wantsInput).toBe(true)
})

test('what the inspection takes out does not arrive', () => {
  const { from, source, sink, to } = twoPipes()
  const forwarder = new ByteForwarder({ from, to, inspect: cutEscape, capacityBytes: 16 })
  let got = ''
  for (const text of ['ab\x1dcd', '\x1d', 'efghijklmno', 'pqrstuvwxyz']) {
    write(source, Buffer.from(text))
    while (step(forwarder) > 0);
    got += readAll(sink).toString()
  }
  expect(got).toBe('abcdefghijklmnopqrstuvwxyz')
})

test('a reader that is gone is an error with a name', () => {
  const { from, source, sink, to, end } = twoPipes()
  const forwarder = new ByteForwarder({ from, to })
  end(sink)
  write(source, Buffer.from('x'))
  expect(() => step(forwarder)).toThrow(expect.objectContaining({ code: 'EPIPE' }))
})
