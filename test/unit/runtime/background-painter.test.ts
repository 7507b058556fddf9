import { describe, expect, test } from 'vitest'
import { BackgroundPainter } from '../../../src/runtime/background-painter.ts'

const colour = '\x1b[44m'
const erase = '\x1b[K'

function paint(...pieces: readonly string[]): string {
  const painter = new BackgroundPainter('44')
  return pieces
    .flatMap((piece) => painter.paint(Buffer.from(piece, 'latin1')))
    .map((part) => Buffer.from(part).toString('latin1'))
    .join('')
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

test('begins with the colour and ends without any', () => {
  const painter = new BackgroundPainter('48;2;0;0;80')
  expect(text(painter.begin())).toBe('\x1b[48;2;0;0;80m\x1b[K')
  expect(text(painter.end())).toBe('\x1b[0m\x1b[J')
})

describe('what the payload writes', () => {
  test.each([
    ['plain text stays', 'a\tb ä\r', 'a\tb ä\r'],
    ['a new line has the colour to its end', 'a\r\nb', `a\r\n${erase}b`],
    ['colours off brings it back', '\x1b[ma\x1b[0mb', `\x1b[m${colour}a\x1b[0m${colour}b`],
    ['so does the default background', '\x1b[1;49m', `\x1b[1;49m${colour}`],
    ['other attributes do not', '\x1b[1m\x1b[31m\x1b[7m\x1b[39m', '\x1b[1m\x1b[31m\x1b[7m\x1b[39m'],
    ['its own background stays, also over lines', '\x1b[41m\n', '\x1b[41m\n'],
    ['an own background set in the same breath too', '\x1b[0;41m\n', '\x1b[0;41m\n'],
    ['bright ones', '\x1b[100m\n', '\x1b[100m\n'],
    ['those by number', '\x1b[48;5;0m\n\x1b[48;2;0;0;0m\n', '\x1b[48;5;0m\n\x1b[48;2;0;0;0m\n'],
    ['those with colons', '\x1b[48:2::0:0:0m\n', '\x1b[48:2::0:0:0m\n'],
    ['a foreground by number is none', '\x1b[38;5;0m', '\x1b[38;5;0m'],
    ['nor is one by red, green and blue', '\x1b[38;2;49;0;0m', '\x1b[38;2;49;0;0m'],
    ['a full reset', '\x1b[41m\x1bc\n', `\x1b[41m\x1bc${colour}\n${erase}`],
    ['a soft reset', '\x1b[41m\x1b[!p\n', `\x1b[41m\x1b[!p${colour}\n${erase}`],
    ['saved and restored', '\x1b7\x1b[41m\x1b8', `\x1b7\x1b[41m\x1b8${colour}`],
    ['saved with an own one', '\x1b[41m\x1b7\x1b[m\x1b8', `\x1b[41m\x1b7\x1b[m${colour}\x1b8`],
    ['no line is erased on the alternate screen', '\x1b[?1049h\n', '\x1b[?1049h\n'],
    ['and again after it', '\x1b[?1049h\x1b[?1049l\n', `\x1b[?1049h\x1b[?1049l\n${erase}`],
    ['a window title is no text', '\x1b]0;a\nb\x07\n', `\x1b]0;a\nb\x07\n${erase}`],
    ['also one that ends otherwise', '\x1b]0;\x1b[0m\x1b\\', `\x1b]0;\x1b[0m${colour}\x1b\\`],
    ['private and unknown sequences', '\x1b[>4;1m\x1b[2J\x1b(B', '\x1b[>4;1m\x1b[2J\x1b(B'],
    ['a sequence that is broken off', '\x1b[4\x18m\n', `\x1b[4\x18m\n${erase}`],
  ])('%s', (_, written, shown) => expect(paint(written)).toBe(shown))

  test('ends in the byte that it ended in', () => {
    const painter = new BackgroundPainter('44')
    painter.paint(Buffer.from('a\n'))
    painter.paint(Buffer.alloc(0))
    expect(painter.lastByte).toBe(0x0a)
  })

  test('may be cut anywhere', () => {
    const whole = 'a\n\x1b[0m\x1b[48;5;1mx\x1b[m\x1b]0;t\x07\n'
    expect(paint(...whole.split(''))).toBe(paint(whole))
  })

  test('never grows beyond what is promised', () => {
    const painter = new BackgroundPainter('4'.repeat(32))
    for (const piece of ['\n', '\x1bc', '\x1b8', '\x1b[m']) {
      const output = Buffer.from(piece.repeat(1000))
      const length = painter.paint(output).reduce((sum, part) => sum + part.length, 0)
      expect(length).toBeLessThanOrEqual(output.length * BackgroundPainter.GROWTH)
      for (const byte of Buffer.from(piece)) {
        const grown = painter.paint(Buffer.of(byte)).reduce((sum, part) => sum + part.length, 0)
        expect(grown).toBeLessThanOrEqual(BackgroundPainter.GROWTH)
      }
    }
  })
})
