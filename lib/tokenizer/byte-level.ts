/** GPT-2's spelling of bytes as printable characters. */
const CHARACTERS = Array.from({ length: 256 }, () => '');
const BYTES = new Map<string, number>();

const isPrintable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);

for (let byte = 0, others = 0; byte < 256; byte++) {
  const character = String.fromCharCode(isPrintable(byte) ? byte : 256 + others++);
  CHARACTERS[byte] = character;
  BYTES.set(character, byte);
}

const PRINTABLE_ASCII = /^[\x21-\x7e]*$/;

export function byteSpelling(text: string): string {
  if (PRINTABLE_ASCII.test(text)) return text;
  let spelled = '';
  for (const byte of Buffer.from(text)) spelled += CHARACTERS[byte]!;
  return spelled;
}

/** Whether each character spells a byte, as those of words do. */
export function spellsBytes(token: string): boolean {
  return [...token].every((character) => BYTES.has(character));
}

/** The bytes that a token spells; those of its text where a character of it spells none. */
export function spelledBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTES.get(character);
    if (byte === undefined) return Buffer.from(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
