import { group } from '../guest/group.ts'

export const ipvlan = group('ipvlan', () => {})
