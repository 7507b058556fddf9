/** Brings an image in from a server, and hands a changed copy on as an archive. */
import { exportTar, NspawnError, pullTar, run } from 'tsnspawn-build'

const [url = 'https://example.org/base.tar.xz'] = process.argv.slice(2)

try {
  // Under a hidden name until its signature has been seen to be right. Ctrl-C keeps what came, for the next time.
  const image = await pullTar({
    url,
    name: 'base',
    verify: { mode: 'signature', keyring: '/etc/keys/publisher.gpg' },
    signal: AbortSignal.timeout(600_000),
    log: (event) => {
      if (event.kind === 'progress') console.error(event.text, event.done, event.total ?? '')
    },
  })
  console.log(`${image.path}: ${image.sha256}, signed by ${image.signers.join(', ')}`)
} catch (error) {
  if (!(error instanceof NspawnError) || error.code !== 'IMAGE_EXISTS') throw error
}

await run({ in: 'base', command: ['true'] })
const { bytes } = await exportTar({ name: 'base', target: 'base.tar.zst' })
console.log(`${bytes} bytes in base.tar.zst`)
