import { expect, test } from 'vitest'
import { LineSplitter } from '../../../src/runtime/line-splitter.ts'

function linesOf(...chunks: readonly Uint8Array[]): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter((line) => lines.push(line))
  for (const chunk of chunks) splitter.write(chunk)
  splitter.end()
  return lines
}

test('lines come without their ends, whatever the chunks', () => {
  const bytes = Buffer.from('one\ntwo\r\n\nfour')
  const whole = ['one', 'two', '', 'four']
  expect(linesOf(bytes)).toEqual(whole)
  for (let cut = 0; cut <= bytes.length; cut++)
    expect(linesOf(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(whole)
})

test('a character that is cut in two is one character', () => {
  const bytes = Buffer.from('grün\n')
  expect(linesOf(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(['grün'])
})

test('a carriage return within a line stays', () => {
  expect(linesOf(Buffer.from('10%\r20%\n'))).toEqual(['10%\r20%'])
})

test('the last line needs no end, and no line is made up', () => {
  expect(linesOf(Buffer.from('a\n'))).toEqual(['a'])
  expect(linesOf()).toEqual([])
})

test('a line that does not end comes in pieces', () => {
  const seen: string[] = []
  const lines = new LineSplitter((line) => seen.push(line), 4)
  lines.write(Buffer.from('123456789'))
  expect(seen).toEqual(['1234', '5678'])
  lines.write(Buffer.from('\n12\n'))
  expect(seen).toEqual(['1234', '5678', '9', '12'])
})
