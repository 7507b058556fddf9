/**
 * A connection to the system bus that is kept, which busctl's calls are not: it has a name that others can send to.
 * As much of the protocol as that takes, by the D-Bus specification ("Authentication Protocol", "Message Protocol").
 */
import { NspawnError } from '../errors.ts'
import { close, connectStream, poll, read, write, POLLIN } from '../sys/fd.ts'

const ADDRESS = '/run/dbus/system_bus_socket'
const BUS = 'org.freedesktop.DBus'
const TIMEOUT_MS = 30_000
/** What the specification allows; nothing that is meant for us comes near it. */
const MESSAGE_MAX_BYTES = 128 * 1024 * 1024

const METHOD_CALL = 1
const METHOD_RETURN = 2
const ERROR = 3
const SIGNAL = 4

/* Header fields. */
const PATH = 1
const INTERFACE = 2
const MEMBER = 3
const REPLY_SERIAL = 5
const DESTINATION = 6
const SENDER = 7
const SIGNATURE = 8

/** A message that has come in, as far as anybody here reads it. */
interface BusMessage {
  readonly type: number
  /** Texts of the header by the number of their field. */
  readonly fields: ReadonlyMap<number, string>
  readonly replySerial: number | undefined
  readonly body: Buffer
}

export class BusConnection {
  readonly fd: number
  /** The name that the bus has given us. */
  readonly name: string
  private received = Buffer.alloc(0)
  private serial = 0
  /** What came while an answer was waited for. */
  private readonly pending: BusMessage[] = []

  /** @throws NspawnError where there is no bus, or it does not let us in */
  constructor() {
    this.fd = connectStream(ADDRESS)
    try {
      this.authenticate()
      this.name = this.call('Hello')
    } catch (error) {
      close(this.fd)
      throw error
    }
  }

  /** The connection that has a name on the bus; undefined when nobody has. */
  ownerOf(name: string): string | undefined {
    try {
      return this.call('GetNameOwner', name)
    } catch (error) {
      if (error instanceof NspawnError && error.code === 'BUS_ERROR') return undefined
      throw error
    }
  }

  /**
   * The signals that have come in, without waiting for any.
   *
   * @throws NspawnError when the bus is gone
   */
  takeSignals(): {
    readonly sender: string
    readonly interface: string
    readonly member: string
  }[] {
    while (poll([{ fd: this.fd, events: POLLIN }], 0)[0] !== 0) this.receiveSome()
    for (let message = this.parse(); message !== undefined; message = this.parse())
      this.pending.push(message)
    return this.pending
      .splice(0)
      .filter(({ type }) => type === SIGNAL)
      .map(({ fields }) => ({
        sender: fields.get(SENDER) ?? '',
        interface: fields.get(INTERFACE) ?? '',
        member: fields.get(MEMBER) ?? '',
      }))
  }

  close(): void {
    close(this.fd)
  }

  private authenticate(): void {
    const id = Buffer.from(String(process.geteuid?.() ?? 0)).toString('hex')
    this.send(Buffer.from(`\0AUTH EXTERNAL ${id}\r\n`))
    const deadlineMs = performance.now() + TIMEOUT_MS
    let end = -1
    while (end < 0) {
      this.await(deadlineMs)
      end = this.received.indexOf('\r\n')
    }
    const answer = this.received.toString('latin1', 0, end)
    if (!answer.startsWith('OK ')) throw failure('EACCES', `the system bus answers ${answer}`)
    this.received = this.received.subarray(end + 2)
    this.send(Buffer.from('BEGIN\r\n'))
  }

  /** Calls a method of the bus itself that takes at most one text and returns one. */
  private call(member: string, argument?: string): string {
    const serial = ++this.serial
    this.send(methodCall(serial, member, argument))
    const deadlineMs = performance.now() + TIMEOUT_MS
    for (;;) {
      const message = this.parse()
      if (message === undefined) this.await(deadlineMs)
      else if (message.replySerial !== serial) this.pending.push(message)
      else if (message.type === METHOD_RETURN) return textAt(message.body, 0)
      else if (message.type === ERROR)
        throw failure('BUS_ERROR', `the system bus refuses ${member}`)
    }
  }

  private send(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += write(this.fd, bytes.subarray(at)) ?? 0
  }

  private await(deadlineMs: number): void {
    const leftMs = Math.ceil(deadlineMs - performance.now())
    if (leftMs <= 0) throw failure('TIMED_OUT', 'the system bus does not answer')
    if (poll([{ fd: this.fd, events: POLLIN }], leftMs)[0] !== 0) this.receiveSome()
  }

  private receiveSome(): void {
    const chunk = Buffer.alloc(4096)
    const length = read(this.fd, chunk) ?? 0
    if (length === 0) throw failure('EPIPE', 'the system bus has closed the connection')
    this.received = Buffer.concat([this.received, chunk.subarray(0, length)])
  }

  /** Takes one whole message from what has come in. */
  private parse(): BusMessage | undefined {
    const { received } = this
    if (received.length < 16) return undefined
    const bodyLength = received.readUInt32LE(4)
    const fieldsEnd = 16 + received.readUInt32LE(12)
    const bodyAt = aligned(fieldsEnd, 8)
    if (received[0] !== 0x6c || bodyAt + bodyLength > MESSAGE_MAX_BYTES)
      throw failure('EBADMSG', 'the system bus sends what is no message')
    if (received.length < bodyAt + bodyLength) return undefined
    this.received = received.subarray(bodyAt + bodyLength)
    return {
      type: received[1] as number,
      ...headerFields(received.subarray(0, fieldsEnd)),
      body: received.subarray(bodyAt, bodyAt + bodyLength),
    }
  }
}

function methodCall(serial: number, member: string, argument: string | undefined): Buffer {
  const body = argument === undefined ? Buffer.alloc(0) : text(argument)
  const fields = [
    field(PATH, 'o', '/org/freedesktop/DBus'),
    field(INTERFACE, 's', BUS),
    field(MEMBER, 's', member),
    field(DESTINATION, 's', BUS),
    ...(argument === undefined ? [] : [field(SIGNATURE, 'g', 's')]),
  ]
  const array = Buffer.concat(
    fields.map((one, i) => (i === fields.length - 1 ? one : padded(one, 8))),
  )
  const head = Buffer.alloc(16)
  head.set([0x6c, METHOD_CALL, 0, 1])
  head.writeUInt32LE(body.length, 4)
  head.writeUInt32LE(serial, 8)
  head.writeUInt32LE(array.length, 12)
  return Buffer.concat([padded(Buffer.concat([head, array]), 8), body])
}

/** A header field: its number, and a variant of one text. Begins at a multiple of eight. */
function field(number: number, type: 'o' | 's' | 'g', value: string): Buffer {
  const head = Buffer.from([number, 1, type.charCodeAt(0), 0])
  const content = type === 'g' ? Buffer.from([value.length, ...Buffer.from(value), 0]) : text(value)
  return Buffer.concat([head, content])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, bytes, Buffer.from([0])])
}

/** @param head of a message, up to the end of its fields */
function headerFields(head: Buffer): Pick<BusMessage, 'fields' | 'replySerial'> {
  const fields = new Map<number, string>()
  let replySerial: number | undefined
  for (let at = 16; at + 4 < head.length; at = aligned(at, 8)) {
    const number = head[at] as number
    const type = String.fromCharCode(head[at + 2] as number)
    at += 4
    if (type === 'g') at += 2 + (head[at] as number)
    else if (type === 'u') {
      if (number === REPLY_SERIAL) replySerial = head.readUInt32LE(at)
      at += 4
    } else if (type === 's' || type === 'o') {
      fields.set(number, textAt(head, at))
      at += 4 + head.readUInt32LE(at) + 1
    } else break
  }
  return { fields, replySerial }
}

function textAt(bytes: Buffer, at: number): string {
  return bytes.toString('utf8', at + 4, at + 4 + bytes.readUInt32LE(at))
}

function padded(bytes: Buffer, to: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length, to) - bytes.length)])
}

function aligned(at: number, to: number): number {
  return Math.ceil(at / to) * to
}

function failure(code: string, message: string): NspawnError {
  return new NspawnError(message, { code, operation: 'connect', subject: ADDRESS })
}
