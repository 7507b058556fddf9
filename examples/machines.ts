/** `machines`: what runs on this host, for how long, and with how many processes, as each machine says itself. */
import { Machine } from 'tsnspawn-build'

for (const machine of Machine.list()) {
  const { stdout } = await machine.run(['sh', '-c', 'cut -d. -f1 /proc/uptime; ls -d /proc/[0-9]*'])
  const [seconds, ...processes] = stdout.split('\n')
  const system = machine.record.os?.prettyName ?? 'an unknown system'
  console.log(`${machine.name}: ${system}, ${seconds} s up, ${processes.length} processes`)
}
