/** `live-output TREE`: lines as they are written, by a program that can reach nothing. */
import { run } from 'tsnspawn-build'

const [tree = 'box'] = process.argv.slice(2)
const { status } = await run({
  in: tree,
  command: ['sh', '-c', 'for i in 1 2 3; do echo step $i; sleep 0.1; done; ls /sys/class/net'],
  network: 'none',
  settings: { privateUsers: { mode: 'pick' }, ownership: 'auto', noNewPrivileges: true },
  stdio: 'lines',
  onLine: (line, stream) => console.log(`${stream}: ${line}`),
})
process.exitCode = status
